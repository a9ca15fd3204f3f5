import { mlpModel } from "@fairlead/inference/testing";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { SidecarConfig } from "./ipc.ts";
import { parseServingConfig } from "./config.ts";
import { ServingHarness } from "./testing/serving-harness.ts";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";

const serverPath = new URL("../../../../test/support/oip-server.ts", import.meta.url).pathname;

/** A serving process with the test server as its runtime "second". */
class SidecarHarness implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "sidecars-"));
  readonly harness: ServingHarness;

  constructor(change: Partial<SidecarConfig> = {}) {
    const socket = join(this.folder, "s");
    const files = ["--repository", "{repository}", "--fault-file", join(this.folder, "fault")];
    const runtime: SidecarConfig = {
      name: "second",
      command: [process.execPath, serverPath, "--socket", socket, ...files],
      url: `unix:${socket}`,
      folder: join(this.folder, "second"),
      repository: join(this.folder, "second/repository"),
      control: "explicit",
      providers: ["cpu"],
      environment: {},
      readyTimeoutMs: 10_000,
      memoryLimitBytes: null,
      ...change,
    };
    this.setFault("");
    this.harness = new ServingHarness({ runtimes: [runtime] });
  }

  setFault(fault: string): void {
    writeFileSync(join(this.folder, "fault"), fault);
  }

  /** Slot `own` on the runtime in the process, slot `other` on the server, both with the same model. */
  async serve(): Promise<void> {
    await this.harness.event("ready");
    const model = mlpModel({ widths: [4, 3] });
    const load = (slot: string) => ({
      slot,
      model: slot,
      deadlineMs: 1_000,
      ...(slot === "other" ? { runtime: "second" } : {}),
    });
    for (const slot of ["own", "other"]) await this.harness.serve(this.harness.toLoad(slot, model, load(slot)));
  }

  async infer(model: string): Promise<{ status: number; text: string }> {
    const body = JSON.stringify({ inputs: [{ name: "x", datatype: "FP32", shape: [1, 4], data: [1, 2, 3, 4] }] });
    const { status, bytes } = await this.harness.http({ path: `/v2/models/${model}/infer`, body });
    return { status, text: bytes.toString().replaceAll(model, "model") };
  }

  get serverPid(): number {
    const record = JSON.parse(readFileSync(join(this.folder, "second/process.json"), "utf8")) as { pid: number };
    return record.pid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.harness[Symbol.asyncDispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

async function until(what: string, ask: () => boolean | Promise<boolean>): Promise<void> {
  const untilMs = performance.now() + 5_000;
  while (!(await ask())) {
    if (performance.now() > untilMs) throw new Error(`${what}: not within 5 s`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function isGone(pid: number): boolean {
  try {
    return /^State:\s+[ZX]/mu.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return true;
  }
}

describe("a serving process with a sidecar", { timeout: 20_000 }, () => {
  it("answers the same from the server as from its own runtime, and says where the model runs", async () => {
    await using sidecar = new SidecarHarness();
    await sidecar.serve();
    const [own, other] = [await sidecar.infer("own"), await sidecar.infer("other")];
    expect(own.status).toBe(200);
    expect(other).toEqual(own);
    const load = sidecar.harness.toLoad("b", mlpModel({ widths: [4, 3] }), { runtime: "second" });
    const { placement } = await sidecar.harness.must(load);
    expect(placement).toMatchObject({ requestedProviders: ["cpu"], shares: { cpu: 1 } });
    expect(placement.proof).toContain("KIND_CPU");
  });

  it("passes a wrong or late answer on as a clear error, is not hung by it and serves the rest", async () => {
    await using sidecar = new SidecarHarness();
    await sidecar.serve();
    const right = await sidecar.infer("other");
    for (const [fault, status, message] of [
      ["garbage", 500, "it is no JSON"],
      ["wrong-shape", 500, "has the shape [1,2,3]"],
      ["never", 504, "the run took longer than 1000 ms"],
      ["late:1500", 504, "the run took longer than 1000 ms"],
    ] as const) {
      sidecar.setFault(fault);
      const [bad, own] = await Promise.all([sidecar.infer("other"), sidecar.infer("own")]);
      expect(bad.text, fault).toContain(message);
      expect(bad.status, fault).toBe(status);
      expect(own, fault).toEqual(right);
      sidecar.setFault("");
      await until("the server's model answers again", async () => (await sidecar.infer("other")).text === right.text);
    }
    expect(sidecar.harness.events.filter(({ kind }) => kind === "hung")).toEqual([]);
    expect(sidecar.harness.events).toContainEqual(
      expect.objectContaining({ kind: "runtime", runtime: "second", severity: "warn" }),
    );
  });

  it("reports the placement anew when the server was started again", async () => {
    await using sidecar = new SidecarHarness();
    await sidecar.serve();
    process.kill(sidecar.serverPid, "SIGKILL");
    const moved = await sidecar.harness.event("placement");
    expect(moved).toMatchObject({ loadId: "other", slot: "other", placement: { shares: { cpu: 1 } } });
    expect((await sidecar.infer("other")).status).toBe(200);
  });

  it("refuses a runtime that nobody configured, and a server that is not there", async () => {
    await using sidecar = new SidecarHarness({ command: ["/nowhere/server"] });
    await sidecar.harness.event("ready");
    const model = mlpModel({ widths: [4, 3] });
    const third = await sidecar.harness.ask(sidecar.harness.toLoad("a", model, { runtime: "third" }));
    expect(third).toMatchObject({ ok: false, error: { code: "runtime_unknown" } });
    const second = await sidecar.harness.ask(sidecar.harness.toLoad("b", model, { runtime: "second" }));
    expect(second).toMatchObject({ ok: false, error: { code: "runtime_crashed" } });
    await sidecar.harness.must(sidecar.harness.toLoad("c", model));
  });

  it.each(["SIGKILL", "shutdown"])("takes the server with it at its end by %s", async (end) => {
    await using sidecar = new SidecarHarness();
    await sidecar.serve();
    const pid = sidecar.serverPid;
    expect(isGone(pid)).toBe(false);
    if (end === "SIGKILL") sidecar.harness.child.kill("SIGKILL");
    else await sidecar.harness.must({ kind: "shutdown", drainMs: 100 });
    await sidecar.harness.exited;
    await until("the server is gone", () => isGone(pid));
  });

  it.each([
    ["no list", {}],
    ["no command", [{ name: "a", url: "unix:/s", folder: "/f" }]],
    ["an empty command", [{ name: "a", url: "unix:/s", folder: "/f", command: [] }]],
    ["a command for a shell", [{ name: "a", url: "unix:/s", folder: "/f", command: "server --flag" }]],
  ])("does not take %s for runtimes", (_, runtimes) => {
    const address = { kind: "tcp", host: "127.0.0.1", port: 0 };
    const argument = JSON.stringify({ address, inflightPath: "/f", runtimes });
    expect(() => parseServingConfig(argument)).toThrow(expect.objectContaining({ code: "config_invalid" }));
  });
});
