import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createHash, X509Certificate } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Enrolment } from "@fairlead/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { toEntry } from "../support/entries.ts";
import { runCli, runCliJson } from "../support/cli.ts";
import { TestDevice } from "../support/device.ts";
import { eventually } from "../support/eventually.ts";
import { TestPlane } from "../support/plane.ts";
import { OwnedProcess } from "../support/process.ts";
import { SoftwareTpm, whyNoTpm } from "../support/swtpm.ts";

const missing = whyNoTpm();
const dir = mkdtempSync(join(tmpdir(), "fairlead-tpm-end-"));
const plane = new TestPlane({ dir: join(dir, "plane") });

function beginEnrol(device: TestDevice): OwnedProcess {
  const ca = new X509Certificate(readFileSync(join(plane.dir, "data", "ca.pem")));
  const fingerprint = createHash("sha256").update(ca.raw).digest("hex");
  const args = [
    ...["enrol", "--server", plane.url, "--endorsed", "--ca-fingerprint", fingerprint],
    ...["--device", device.name, "--data", device.dataDir],
  ];
  return new OwnedProcess({ name: "enrol", entry: toEntry("agent"), args });
}

beforeAll(async () => {
  if (missing === null) await plane.start();
});
afterAll(async () => {
  await plane[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

describe.skipIf(missing !== null)(`the end of a device with a TPM${missing === null ? "" : ` (${missing})`}`, () => {
  it("is confirmed with a last session, leaves no key that its TPM could use, and is undone by no key of before", async () => {
    await using tpm = await SoftwareTpm.start(join(dir, "tpm"));
    const args = ["enrolments", "allow-ek", "--ek", await tpm.writeEndorsement(), "--auto-approve"];
    await runCli(args, plane.cliEnv);
    await using device = new TestDevice({ name: "cam-1", dir: join(dir, "cam-1"), labels: {}, telemetryWindowMs: 500 });
    const data = device.dataDir;
    mkdirSync(data, { recursive: true });
    writeFileSync(join(data, "config.yaml"), tpm.config);
    const enrol = async (): Promise<{ code: number | string; output: string }> => {
      await using tool = beginEnrol(device);
      return { code: await tool.exited(), output: tool.output };
    };
    const enrolled = await enrol();
    expect(enrolled, enrolled.output).toMatchObject({ code: 0 });
    const copy = join(dir, "copy-of-identity");
    cpSync(join(data, "identity"), copy, { recursive: true });
    device.run();
    await eventually("it is online", async () => (await plane.device("cam-1")).online);

    // The order reaches it; its end cannot be told before the plane is back, by a process that has no session yet.
    await runCliJson(["devices", "decommission", "cam-1", "--reason", "sold", "--yes"], plane.cliEnv);
    await eventually("the order is on the disk", () => existsSync(join(data, "wipe.json")));
    await plane.process.kill("SIGKILL");
    await device.process.kill("SIGKILL");
    expect(existsSync(join(data, "identity", "device.tpm"))).toBe(true);
    await plane.start();
    device.run();
    expect(await device.process.exited(), device.process.output).toBe(0);
    expect(readdirSync(data).toSorted()).toEqual(["agent.lock", "config.yaml"]);
    expect(await plane.device("cam-1")).toMatchObject({
      ...{ lifecycle: "decommissioned", online: false, decommission: { wipe: "confirmed" } },
    });

    // A device whose answer was lost hears from the plane that it was let go, and ends as well.
    cpSync(copy, join(data, "identity"), { recursive: true });
    writeFileSync(join(data, "wipe.json"), "{}");
    device.run();
    expect(await device.process.exited(), device.process.output).toBe(0);
    expect(device.process.output).toContain("the plane has let this device go");
    expect(readdirSync(data).toSorted()).toEqual(["agent.lock", "config.yaml"]);

    // The same TPM and its endorsement, with the key of before.
    cpSync(copy, join(data, "identity"), { recursive: true });
    const retired = await enrol();
    expect(retired, retired.output).toMatchObject({ code: 1, output: expect.stringContaining("key_retired") });

    // With a new key it may ask, and what was allowed before the end no longer approves by itself.
    rmSync(join(data, "identity"), { recursive: true });
    await using asking = beginEnrol(device);
    const waiting = await eventually("an operator has to decide", async () =>
      (await plane.get<{ items: Enrolment[] }>("/api/v1/enrolments")).items.find(({ state }) => state === "pending"),
    );
    expect((await plane.device("cam-1")).lifecycle).toBe("decommissioned");
    await plane.post(`/api/v1/enrolments/${waiting.enrolmentId}/approve`, {});
    expect(await asking.exited(), asking.output).toBe(0);
    device.run();
    await eventually("it is back, as a new device", async () => (await plane.device("cam-1")).online);
    expect(await plane.device("cam-1")).toMatchObject({
      ...{ lifecycle: "enrolled", decommission: null, assurance: "tpm-endorsed" },
    });
  }, 180_000);
});
