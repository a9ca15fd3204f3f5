import { join } from "node:path";
import { silentLogger } from "@fairlead/kernel";
import { describe, expect, it } from "vitest";
import { servingEntry } from "../places.ts";
import { ServingHost } from "../serving/serving-host.ts";
import { systemClock } from "../system-clock.ts";
import { digitModel, json, ServingHarness } from "./testing/serving-harness.ts";

const reader = { slot: "reader", model: "digit-reader", version: "1.0.0" };
const loading = { error: "Request for model 'digit-reader' came early: it is being loaded" };
const unknown = { error: "Request for unknown model: 'nope' is not found" };
const body = JSON.stringify({ inputs: [{ name: "image", datatype: "FP32", shape: [1], data: [0] }] });

describe("a serving process that has not loaded yet what it will serve", { timeout: 30_000 }, () => {
  it("asks clients of that model to come again, and knows no other", async () => {
    await using harness = new ServingHarness({ expected: [reader] });
    await harness.event("ready");
    const get = (path: string) => harness.http({ path: `/v2/models/${path}` });
    for (const early of [
      await harness.http({ path: "/v2/models/digit-reader/infer", body }),
      await get("digit-reader"),
      await get("digit-reader/ready"),
    ]) {
      expect(early).toMatchObject({ status: 503, headers: { "retry-after": "1" } });
      expect(json(early.bytes)).toEqual(loading);
    }
    expect((await get("digit-reader/versions/1.0.0/ready")).status).toBe(503);
    const none = await harness.http({ path: "/v2/models/nope/infer", body });
    expect([none.status, json(none.bytes)]).toEqual([404, unknown]);
    expect((await get("digit-reader/versions/9/ready")).status).toBe(404);
    await harness.serve(harness.toLoad("a", digitModel("1.1.0-int8")));
    expect((await get("digit-reader/ready")).status).toBe(200);
    // The slot serves another version now: nobody needs to wait for the one before.
    await harness.serve(harness.toLoad("b", digitModel("1.1.0-int8"), { version: "2.0.0" }));
    expect((await get("digit-reader/versions/1.0.0/ready")).status).toBe(404);
  });

  it("is told anew at each start what to expect", async () => {
    await using folder = new ServingHarness();
    let expected = [reader];
    let ready = 0;
    const host = new ServingHost({
      entry: servingEntry,
      config: {
        address: { kind: "tcp", host: "127.0.0.1", port: 0 },
        inflightPath: join(folder.folder, "host-inflight"),
      },
      readInflight: () => [],
      expected: () => expected,
      ...{ clock: systemClock, logger: silentLogger, random: () => 0, onExit: () => undefined },
      onReady: () => void (ready += 1),
    });
    const ask = async (model: string): Promise<number> => {
      const { address } = host;
      if (address?.kind !== "tcp") throw new Error("not ready");
      return (await fetch(`http://127.0.0.1:${address.port}/v2/models/${model}/ready`)).status;
    };
    await host.start();
    await expect.poll(() => ready, { timeout: 10_000 }).toBe(1);
    expect([await ask("digit-reader"), await ask("other")]).toEqual([503, 404]);
    expected = [{ ...reader, model: "other" }];
    host.restart();
    await expect.poll(() => ready, { timeout: 10_000 }).toBe(2);
    expect([await ask("digit-reader"), await ask("other")]).toEqual([404, 503]);
    await host.stop();
  });
});
