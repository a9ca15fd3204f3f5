import { setTimeout as delay } from "node:timers/promises";
import { endlessLoopModel, identityOf } from "@fairlead/inference/testing";
import { expect, it } from "vitest";
import type { SlotView } from "../models/slot-ports.ts";
import { readInflightLoads } from "../serve/inflight.ts";
import type { ServingAddress } from "../serve/ipc.ts";
import { ServingHarness } from "../serve/testing/serving-harness.ts";
import { answerMessage } from "./message-answer.ts";
import { ModelAsker } from "./model-asker.ts";
import { ServingEnds, toServingEnd } from "./serving-ends.ts";

it("answers a message that only waited each time the process was killed", async () => {
  let at: ServingAddress | null = null;
  const ends = new ServingEnds();
  const { signal } = new AbortController();
  const asked = { model: "u8", slot: null, serves: () => null, client: "c", priority: "batch" } as const;
  const asker = new ModelAsker({ ...asked, address: () => at, ends, signal });
  let waits = 0;
  const wait = () => {
    waits += 1;
    return delay<void>(20);
  };
  const message = Buffer.of(1, 2, 3, 4);
  const answer = answerMessage({ asker, wait, random: () => 0, onWait: () => undefined }, message);
  for (let kill = 0; kill <= 4; kill += 1) {
    await using serving = new ServingHarness();
    const { address } = await serving.event("ready");
    await serving.serve(serving.toLoad("u8", identityOf("UINT8"), { slot: "u8", model: "u8" }));
    // Batch work only waits then, until the last process.
    await serving.must({ kind: "throttle", throttled: kill < 4 });
    at = address;
    if (kill === 4) {
      expect(JSON.parse(Buffer.from(await answer).toString())).toMatchObject({ outputs: [{ data: [1, 2, 3, 4] }] });
      continue;
    }
    while ((await serving.must({ kind: "ping" })).inflight === 0) await delay(5);
    at = null;
    serving.child.kill("SIGKILL");
    await serving.exited;
    expect(readInflightLoads(serving.inflightPath)).toEqual([]);
    ends.note({ requested: false, named: false, ran: [] });
  }
  expect(waits).toBeGreaterThanOrEqual(4);
});

it("gives up a message whose run ended the process three times", async () => {
  let at: ServingAddress | null = null;
  const ends = new ServingEnds();
  const { signal } = new AbortController();
  const asked = { model: "slow", slot: null, serves: () => null, client: "c", priority: "normal" } as const;
  const asker = new ModelAsker({ ...asked, address: () => at, ends, signal });
  const inputs = [
    { name: "x", datatype: "FP32", shape: [4], data: [0, 0, 0, 0] },
    { name: "trips", datatype: "INT64", shape: [1], data: [1_000_000_000_000] },
  ];
  const message = Buffer.from(JSON.stringify({ inputs }));
  const wait = () => delay<void>(20);
  const answer = answerMessage({ asker, wait, random: () => 0, onWait: () => undefined }, message);
  for (let kill = 0; kill < 3; kill += 1) {
    await using serving = new ServingHarness();
    const { address } = await serving.event("ready");
    const model = endlessLoopModel({ trips: "asked" });
    await serving.serve(serving.toLoad("slow-1", model, { slot: "slow", model: "slow", deadlineMs: 30_000 }));
    at = address;
    while (readInflightLoads(serving.inflightPath).length === 0) await delay(5);
    at = null;
    serving.child.kill("SIGKILL");
    await serving.exited;
    const inflight = readInflightLoads(serving.inflightPath).map(({ loadId }) => loadId);
    const served = { model: "slow" } as NonNullable<SlotView["served"]>;
    ends.note(toServingEnd({ cause: "crash", hungLoadId: null, inflight }, [{ served, servedLoadId: "slow-1" }]));
  }
  const text = Buffer.from(await answer).toString();
  expect(JSON.parse(text)).toEqual({ error: expect.stringContaining("given up after 3 attempts") });
});
