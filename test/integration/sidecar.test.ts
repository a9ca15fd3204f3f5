import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { eventually } from "../support/eventually.ts";
import { AgentHarness, device, toSlot } from "./agent-harness.ts";
import { MiniPlane } from "./mini-plane.ts";

const serverPath = new URL("../support/oip-server.ts", import.meta.url).pathname;

describe("an agent with a second server", () => {
  it("serves a slot from it, survives its death and its bad answers, and takes it along at its own end", async () => {
    await using plane = await MiniPlane.start();
    await using agent = new AgentHarness(plane);
    expect((await agent.enrol()).code).toBe(0);
    const socket = join(agent.folder, "s");
    const fault = join(agent.folder, "fault");
    writeFileSync(fault, "");
    mkdirSync(agent.data, { recursive: true });
    const server = {
      kind: "open-inference",
      command: [
        process.execPath,
        serverPath,
        "--socket",
        socket,
        "--repository",
        "{repository}",
        "--fault-file",
        fault,
      ],
      url: `unix:${socket}`,
      slots: ["reader"],
    };
    writeFileSync(join(agent.data, "config.yaml"), JSON.stringify({ runtimes: { second: server } }));
    await plane.desire(device, [toSlot(plane, "1.1.0")]);
    agent.run();
    await agent.waitForVersion("1.1.0");
    expect(await agent.accuracy(100)).toBeGreaterThan(0.94);
    expect(agent.slot?.placement).toMatchObject({ requested: ["cpu"], proved: { cpu: 1 } });

    const record = join(agent.data, "runtimes/second/process.json");
    const readPid = () => (JSON.parse(readFileSync(record, "utf8")) as { pid: number }).pid;
    const pid = readPid();
    process.kill(pid, "SIGKILL");
    await eventually("it answers from a new server", async () => (await agent.infer(0)).status === 200);
    expect(readPid()).not.toBe(pid);

    writeFileSync(fault, "garbage");
    expect(await agent.infer(0)).toMatchObject({ status: 500, text: expect.stringContaining("no JSON") as unknown });
    writeFileSync(fault, "");
    expect(await agent.accuracy(100)).toBeGreaterThan(0.94);

    const last = readPid();
    await agent.process.kill("SIGKILL");
    await eventually("the server went with the agent", () => isGone(last));
  });
});

function isGone(pid: number): boolean {
  try {
    return /^State:\s+[ZX]/mu.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return true;
  }
}
