import { setTimeout as delay } from "node:timers/promises";
import { endlessLoopModel, identityOf } from "@fairlead/inference/testing";
import { expect, it } from "vitest";
import type { SlotView } from "../models/slot-ports.ts";
import { readInflightLoads } from "../serve/inflight.ts";
import type { ServingAddress } from "../serve/ipc.ts";
import { ServingHarness } from "../serve/testing/serving-harness.ts";
import { answerMessage } from "./message-answer.ts";
import { ModelAsker, type ModelAskerOptions } from "./model-asker.ts";
import { ServingEnds, toServingEnd } from "./serving-ends.ts";

/** Answers messages by whatever process serves at the moment. */
class Pipe {
  readonly ends = new ServingEnds();
  at: ServingAddress | null = null;
  waits = 0;
  readonly #asker: ModelAsker;

  constructor(asked: Pick<ModelAskerOptions, "model" | "priority">) {
    const rest = { slot: null, serves: () => null, client: "c", signal: new AbortController().signal };
    this.#asker = new ModelAsker({ ...asked, ...rest, address: () => this.at, ends: this.ends });
  }

  answer(message: Uint8Array): Promise<Uint8Array> {
    const wait = (): Promise<void> => {
      this.waits += 1;
      return delay(20);
    };
    return answerMessage({ asker: this.#asker, wait, random: () => 0, onWait: () => undefined }, message);
  }
}

it("answers a message that only waited each time the process was killed", async () => {
  const pipe = new Pipe({ model: "u8", priority: "batch" });
  const answer = pipe.answer(Buffer.of(1, 2, 3, 4));
  for (let kill = 0; kill <= 4; kill += 1) {
    await using serving = new ServingHarness();
    const { address } = await serving.event("ready");
    await serving.serve(serving.toLoad("u8", identityOf("UINT8"), { slot: "u8", model: "u8" }));
    // Batch work only waits then, until the last process.
    await serving.must({ kind: "throttle", throttled: kill < 4 });
    pipe.at = address;
    if (kill === 4) {
      expect(JSON.parse(Buffer.from(await answer).toString())).toMatchObject({ outputs: [{ data: [1, 2, 3, 4] }] });
      continue;
    }
    while ((await serving.must({ kind: "ping" })).inflight === 0) await delay(5);
    pipe.at = null;
    serving.child.kill("SIGKILL");
    await serving.exited;
    expect(readInflightLoads(serving.inflightPath)).toEqual([]);
    pipe.ends.note({ requested: false, named: false, ran: [] });
  }
  expect(pipe.waits).toBeGreaterThanOrEqual(4);
});

it("gives up a message whose run ended the process three times", async () => {
  const pipe = new Pipe({ model: "slow", priority: "normal" });
  const inputs = [
    { name: "x", datatype: "FP32", shape: [4], data: [0, 0, 0, 0] },
    { name: "trips", datatype: "INT64", shape: [1], data: [1_000_000_000_000] },
  ];
  const answer = pipe.answer(Buffer.from(JSON.stringify({ inputs })));
  for (let kill = 0; kill < 3; kill += 1) {
    await using serving = new ServingHarness();
    const { address } = await serving.event("ready");
    const model = endlessLoopModel({ trips: "asked" });
    await serving.serve(serving.toLoad("slow-1", model, { slot: "slow", model: "slow", deadlineMs: 30_000 }));
    pipe.at = address;
    while (readInflightLoads(serving.inflightPath).length === 0) await delay(5);
    pipe.at = null;
    serving.child.kill("SIGKILL");
    await serving.exited;
    const inflight = readInflightLoads(serving.inflightPath).map(({ loadId }) => loadId);
    const served = { model: "slow" } as NonNullable<SlotView["served"]>;
    pipe.ends.note(toServingEnd({ cause: "crash", hungLoadId: null, inflight }, [{ served, servedLoadId: "slow-1" }]));
  }
  const text = Buffer.from(await answer).toString();
  expect(JSON.parse(text)).toEqual({ error: expect.stringContaining("given up after 3 attempts") });
});
