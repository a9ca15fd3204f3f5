import { FailingDriver, whyNoFailingDriver } from "@fairlead/inference/testing";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { agentConfigSchema } from "../config.ts";
import { checkRuntimes, checkSidecars } from "./check-runtimes.ts";

const root = mkdtempSync(join(tmpdir(), "doctor-"));
afterAll(() => rmSync(root, { recursive: true }));
const reason = whyNoFailingDriver();

describe("what the doctor says of runtimes", { timeout: 20_000 }, () => {
  it("names what the runtime was built with, and proves what is wanted", async () => {
    const text = await checkRuntimes(agentConfigSchema.parse({}));
    expect(text).toMatch(/^onnxruntime was built with .*\bcpu\b/u);
    expect(text).toContain("cpu, wanted by the device: runs a model (cpu was asked for)");
  });

  it.skipIf(reason !== undefined)(
    `says which accelerator is there and which is not${reason === undefined ? "" : ` (skipped: ${reason})`}`,
    async () => {
      using driver = new FailingDriver();
      Object.assign(process.env, driver.environment);
      const config = agentConfigSchema.parse({ slots: { reader: { providers: ["webgpu"], require: true } } });
      const wanted = "webgpu, wanted by slot reader (required): ";
      expect(await checkRuntimes(config)).toContain(`${wanted}runs a model (profiled warm-up run)`);
      driver.break();
      await expect(checkRuntimes(config)).rejects.toThrow(`${wanted}the cpu stands in: webgpu failed`);
    },
  );

  it("says of each sidecar whether it runs, waits for its first load or cannot start", () => {
    expect(checkSidecars(agentConfigSchema.parse({}), root)).toBe("none is configured");
    const server = { kind: "open-inference", url: "http://127.0.0.1:8000" };
    const here = { ...server, command: [process.execPath], providers: ["tensorrt", "cpu"], slots: ["lane"] };
    const config = (runtimes: object) => agentConfigSchema.parse({ runtimes });
    const what = "here at http://127.0.0.1:8000 offers tensorrt, cpu, for slot lane";
    expect(checkSidecars(config({ here }), root)).toBe(`${what}: does not run; it starts with its first load`);
    mkdirSync(join(root, "runtimes/here"), { recursive: true });
    const fields = readFileSync("/proc/self/stat", "utf8").split(") ")[1]?.split(" ") ?? [];
    const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    const record = { pid: process.pid, startTicks: Number(fields[19]), bootId };
    writeFileSync(join(root, "runtimes/here/process.json"), JSON.stringify(record));
    expect(checkSidecars(config({ here }), root)).toMatch(
      new RegExp(`^${what}: runs as process ${process.pid} and holds \\d+ MiB$`, "u"),
    );
    expect(() => checkSidecars(config({ here, gone: { ...server, command: ["no-such-server"] } }), root)).toThrow(
      "gone at http://127.0.0.1:8000 offers cpu: there is no program no-such-server",
    );
  });
});
