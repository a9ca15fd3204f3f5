import { once } from "node:events";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { createServer, type AddressInfo, type Server } from "node:net";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readChildren } from "../support/child-of.ts";
import { eventually } from "../support/eventually.ts";
import { AgentHarness, device, toSlot } from "./agent-harness.ts";
import { MiniPlane } from "./mini-plane.ts";

/** Somebody else's program at a port of this machine. */
async function occupy(port = 0): Promise<Server> {
  return eventually("the port is to be had", async () => {
    const server = createServer((socket) => socket.destroy()).listen(port, "127.0.0.1");
    await once(server, "listening");
    return server;
  });
}

const toPort = (server: Server): number => (server.address() as AddressInfo).port;
const free = (server: Server): Promise<void> => new Promise((resolve) => void server.close(() => resolve()));

async function enrolled(plane: MiniPlane, inference: string): Promise<AgentHarness> {
  const agent = new AgentHarness(plane);
  expect((await agent.enrol()).code).toBe(0);
  writeFileSync(join(agent.data, "config.yaml"), `inference: { ${inference} }\n`);
  return agent;
}

const starts = (plane: MiniPlane) => plane.events.filter(({ kind }) => kind === "serving-start");
const count = (text: string, part: string) => text.split(part).length - 1;

describe("the endpoint of an agent", () => {
  it("says in its log, status, doctor, report and one event that its port is taken and what to set, and serves once it is free", async () => {
    await using plane = await MiniPlane.start();
    const stranger = await occupy();
    const port = toPort(stranger);
    await using agent = await enrolled(plane, `port: ${port}`);
    await plane.desire(device, [toSlot(plane, "1.0.0")]);
    const doctorBefore = await agent.command("doctor");
    agent.run({ FAIRLEAD_AGENT_INFERENCE_PORT: String(port) });
    const reason = await agent.waitFor("the slot says why it does not serve", () => {
      const { notServingReason } = agent.slot ?? {};
      return notServingReason?.includes("port_taken") === true && notServingReason;
    });
    expect(reason).toMatch(new RegExp(`port ${port} of 127\\.0\\.0\\.1 is in use.*set inference\\.port`, "u"));
    await agent.waitFor("the event", () => starts(plane).length > 0);
    const status = await agent.command("status");
    expect(status.output).toMatch(/inference endpoint: none, port_taken: .*set inference\.port/u);
    expect(JSON.parse((await agent.command("status", "--json")).output)).toMatchObject({
      ...{ running: true, endpoint: null, trouble: { code: "port_taken" } },
    });
    for (const doctor of [doctorBefore, await agent.command("doctor")]) {
      expect(doctor.output).toMatch(
        /^FAIL {2}endpoint: port \d+ of 127\.0\.0\.1 is in use .*\(port_taken\)\n.*inference\.port/mu,
      );
      expect(doctor.code).toBe(1);
    }
    await free(stranger);
    // It is tried again after 30 s at the latest.
    await agent.waitFor("it serves", () => agent.slot?.serving === true, 45_000);
    expect(await agent.accuracy(20)).toBeGreaterThan(0.7);
    await agent.waitFor("the event of its end", () => starts(plane).length > 1);
    expect(starts(plane)).toMatchObject([
      { state: "failed", code: "port_taken", reason: expect.stringContaining(`port ${port}`) },
      { state: "recovered", code: null },
    ]);
    expect(count(agent.process.output, "the serving process cannot start")).toBe(1);
    expect(agent.process.output).not.toContain("the serving process ended");
    expect((await agent.command("status")).output).toContain(`inference endpoint: http://127.0.0.1:${port}\n`);
  }, 120_000);

  it("blames no build on trial for a process that never served, and goes on with the trial", async () => {
    await using plane = await MiniPlane.start();
    const first = await occupy();
    const port = toPort(first);
    await free(first);
    await using agent = await enrolled(plane, `port: ${port}`);
    const env = { FAIRLEAD_AGENT_INFERENCE_PORT: String(port) };
    await plane.desire(device, [toSlot(plane, "1.0.0")]);
    agent.run(env);
    await agent.waitForVersion("1.0.0");
    await plane.desire(device, [toSlot(plane, "1.1.0", { soakMs: 4_000 })]);
    await agent.waitFor("1.1.0 is on trial", () => agent.slot?.job?.state === "soaking");
    await agent.process.kill("SIGKILL");
    const stranger = await occupy(port);
    agent.run(env);
    await agent.waitFor(
      "it has tried more than once",
      () => starts(plane).length > 0 && count(agent.process.output, "cannot start") > 0,
    );
    await agent.waitFor("the trial is still to come", () => agent.slot?.notServingReason?.includes("port_taken"));
    expect(agent.slot?.job).toMatchObject({ state: "soaking", code: null });
    await free(stranger);
    await agent.waitForVersion("1.1.0");
    expect(plane.events.filter(({ kind }) => kind === "serving-crashed" || kind === "reverted")).toEqual([]);
  });

  it("is a socket for this user and group where the configuration names one", async () => {
    await using plane = await MiniPlane.start();
    await using agent = await enrolled(plane, "socket: run/inference.sock");
    expect((await agent.command("doctor")).output).toContain(
      `ok    endpoint: unix:${agent.data}/run/inference.sock is free`,
    );
    await plane.desire(device, [toSlot(plane, "1.0.0")]);
    agent.run();
    await agent.waitForVersion("1.0.0");
    const socketPath = join(agent.data, "run", "inference.sock");
    expect(statSync(socketPath).mode & 0o777).toBe(0o660);
    expect(agent.endpoint).toBe(`unix:${socketPath}`);
    expect(plane.reported.at(-1)?.inferenceEndpoint).toBe(`unix:${socketPath}`);
    const ask = () =>
      new Promise<number>((resolve, reject) => {
        const asked = request({ socketPath, path: "/v2/models/digit-reader/ready" }, (answer) => {
          answer.resume();
          resolve(answer.statusCode ?? 0);
        });
        asked.on("error", reject).end();
      });
    expect(await ask()).toBe(200);
    const serving = readChildren(agent.process.pid)[0] ?? 0;
    process.kill(serving, "SIGKILL");
    await eventually("it takes over the socket that the killed process left", async () => {
      const now = readChildren(agent.process.pid)[0] ?? serving;
      return now !== serving && (await ask()) === 200;
    });
  });

  it("is refused before anything starts where other machines could reach it, by the agent and by its doctor", async () => {
    await using plane = await MiniPlane.start();
    await using agent = await enrolled(plane, "host: 0.0.0.0");
    for (const command of ["run", "doctor"]) {
      const { code, output } = await agent.command(command);
      expect(code).toBe(1);
      expect(output).toMatch(/0\.0\.0\.0 is no loopback address.*a proxy/u);
      expect(output).toContain("config_invalid");
    }
  });

  it("runs models in a process of its own: the supervisor maps no accelerator library", async () => {
    await using plane = await MiniPlane.start();
    await using agent = await enrolled(plane, "threads: 1");
    await plane.desire(device, [toSlot(plane, "1.0.0")]);
    agent.run();
    await agent.waitForVersion("1.0.0");
    expect(await agent.accuracy(20)).toBeGreaterThan(0.7);
    const readMaps = (pid: number) => readFileSync(`/proc/${pid}/maps`, "utf8");
    const libraries = /onnxruntime|libcuda|libcudart|libnvinfer|libvulkan|vk_swiftshader|libOpenCL|webgpu/iu;
    const [serving = 0] = readChildren(agent.process.pid);
    expect(readMaps(serving)).toMatch(/onnxruntime/u);
    expect(readMaps(agent.process.pid)).not.toMatch(libraries);
  });
});
