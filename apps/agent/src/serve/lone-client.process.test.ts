import { describe, expect, it } from "vitest";
import { endlessLoopModel } from "@fairlead/inference/testing";
import { Agent, request as httpRequest } from "node:http";
import { readInflightLoads } from "./inflight.ts";
import { LoneClient } from "./lone-client.ts";
import { ServingHarness } from "./testing/serving-harness.ts";

describe("the watch over lone clients", () => {
  it("calls a client alone after some requests of its connection, until another one asks", () => {
    const lone = new LoneClient();
    const camera = {};
    const probe = {};
    for (let request = 0; request < 8; request += 1) {
      lone.note(camera);
      expect(lone.isAlone(camera)).toBe(false);
    }
    lone.note(camera);
    expect(lone.isAlone(camera)).toBe(true);
    expect(lone.isAlone(probe)).toBe(false);
    lone.note(probe);
    expect(lone.isAlone(camera)).toBe(false);
    lone.note(camera);
    expect(lone.isAlone(camera)).toBe(false);
  });
});

/** One connection that asks the looping model for so many rounds. */
class LoopClient implements Disposable {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #port: number;

  constructor(port: number) {
    this.#port = port;
  }

  ask(trips: number): Promise<number[]> {
    const inputs = [
      { name: "x", datatype: "FP32", shape: [1], data: [1] },
      { name: "trips", datatype: "INT64", shape: [1], data: [trips] },
    ];
    return new Promise((resolve, reject) => {
      const where = { host: "127.0.0.1", port: this.#port, path: "/v2/models/loop/infer", method: "POST" };
      const request = httpRequest({ ...where, agent: this.#agent }, (response) => {
        let text = "";
        response.on("data", (chunk: Buffer) => (text += chunk.toString()));
        response.on("end", () => {
          const { outputs, error } = JSON.parse(text) as { outputs?: { data: number[] }[]; error?: string };
          if (outputs?.[0] === undefined) reject(new Error(error));
          else resolve(outputs[0].data);
        });
      });
      request.on("error", reject);
      request.end(JSON.stringify({ inputs }));
    });
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}

async function openLoop(harness: ServingHarness): Promise<number> {
  const { address } = await harness.event("ready");
  await harness.serve(harness.toLoad("loop-1", endlessLoopModel({ trips: "asked", shape: [1] }), { model: "loop" }));
  return address.kind === "tcp" ? address.port : 0;
}

const endless = 2 ** 52;

describe("runs of a lone client", { timeout: 20_000 }, () => {
  it("answer the same on the first thread, and one that never ends there ends the process within its limit, named", async () => {
    await using harness = new ServingHarness();
    using client = new LoopClient(await openLoop(harness));
    for (let request = 0; request < 60; request += 1) expect(await client.ask(3)).toEqual([8]);
    const askedMs = performance.now();
    await expect(client.ask(endless)).rejects.toThrow(/socket hang up|ECONNRESET/u);
    expect(await harness.exited).toBe("SIGKILL");
    // The deadline of a run is 5 s here: it was not what ended it.
    expect(performance.now() - askedMs).toBeLessThan(4_000);
    expect(readInflightLoads(harness.inflightPath)).toEqual([{ loadId: "loop-1", activity: "running" }]);
  });

  it("go to the model's own thread again when somebody else asks, so that one that never ends holds up nobody", async () => {
    await using harness = new ServingHarness();
    using client = new LoopClient(await openLoop(harness));
    for (let request = 0; request < 60; request += 1) expect(await client.ask(3)).toEqual([8]);
    expect((await harness.http({ path: "/v2/health/live" })).status).toBe(200);
    const hanging = client.ask(endless).catch((error: unknown) => error);
    await expect.poll(() => readInflightLoads(harness.inflightPath).length).toBe(1);
    expect((await harness.http({ path: "/v2/health/live" })).status).toBe(200);
    expect(String(await hanging)).toMatch(/took longer than 5000 ms/u);
    expect(await harness.event("hung")).toMatchObject({ loadId: "loop-1" });
  });

  it("stay on the model's own thread where the device is told so", async () => {
    await using harness = new ServingHarness({ inline: false });
    using client = new LoopClient(await openLoop(harness));
    for (let request = 0; request < 60; request += 1) expect(await client.ask(3)).toEqual([8]);
    expect(String(await client.ask(endless).catch((error: unknown) => error))).toMatch(/took longer than 5000 ms/u);
    expect((await harness.http({ path: "/v2/health/live" })).status).toBe(200);
  });
});
