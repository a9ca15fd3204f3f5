import { describe, expect, it, vi } from "vitest";
import type { Tensor } from "../tensor.ts";
import { mlpModel } from "../testing/example-models.ts";
import { InlineLane, InlinePlaces } from "./inline-lane.ts";
import { inlineLimits, toShapes } from "./inline-plan.ts";

const model = mlpModel({ widths: [4, 3] });
const outputs = [{ name: "y", datatype: "FP32", shape: [-1, 3] }] as const;
const x = (rows: number): Tensor[] => [
  { name: "x", datatype: "FP32", shape: [rows, 4], data: Float32Array.from({ length: rows * 4 }, (_, i) => i) },
];

function openLane(places: InlinePlaces, again: () => Promise<Uint8Array> = async () => model) {
  const guards: SharedArrayBuffer[] = [];
  const settings = { providers: ["cpu"], threads: 1 };
  const lane = new InlineLane({ outputs, settings, again, places, callGuard: (shared) => void guards.push(shared) });
  return { lane, guards };
}

async function prove(lane: InlineLane, rows: number, runs = inlineLimits.provingRuns): Promise<void> {
  for (let run = 0; run < runs; run += 1) lane.noteElsewhere(toShapes(x(rows)), 500);
  await expect.poll(() => lane.takes(toShapes(x(rows)))).toBe(true);
}

describe("the lane of lone runs", () => {
  it("takes a model that was seen to be short, for the shapes that it was seen with, and answers right", async () => {
    const { lane, guards } = openLane(new InlinePlaces(1));
    expect(lane.takes(toShapes(x(2)))).toBe(false);
    await prove(lane, 2);
    expect(lane.takes(toShapes(x(3)))).toBe(false);
    const first = await lane.run(x(2), toShapes(x(2)));
    const second = await lane.run(x(2), toShapes(x(2)));
    expect(first.outputs[0]).toMatchObject({ name: "y", shape: [2, 3] });
    expect([...(first.outputs[0]?.data ?? [])]).toEqual([...(second.outputs[0]?.data ?? [])]);
    const probabilities = [...(first.outputs[0]?.data ?? [])].map(Number);
    expect(probabilities.reduce((sum, value) => sum + value, 0)).toBeCloseTo(2, 5); // of two rows
    expect(guards).toHaveLength(1);
    await lane.close();
    expect(lane.takes(toShapes(x(2)))).toBe(false);
  });

  it("holds no more sessions than there are places, and gives its place back", async () => {
    const places = new InlinePlaces(1);
    const { lane } = openLane(places);
    await prove(lane, 1);
    const { lane: second } = openLane(places);
    for (let run = 0; run < 3 * inlineLimits.provingRuns; run += 1) second.noteElsewhere(toShapes(x(1)), 500);
    await second.close();
    expect(second.takes(toShapes(x(1)))).toBe(false);
    await lane.close();
    const { lane: third } = openLane(places);
    await prove(third, 1);
    await third.close();
  });

  it("opens a session again for a model that was late in a busy moment, after a long row of short runs", async () => {
    const { lane } = openLane(new InlinePlaces(1));
    await prove(lane, 1);
    const startMs = performance.now();
    let late = 0;
    // Each run takes as long as the clock says: one that jumps by a minute between two looks.
    vi.spyOn(performance, "now").mockImplementation(() => startMs + (late += 60_000));
    for (let run = 0; run < inlineLimits.maxLateRuns; run += 1) await lane.run(x(1), toShapes(x(1)));
    vi.restoreAllMocks();
    expect(lane.takes(toShapes(x(1)))).toBe(false);
    await new Promise((resolve) => setImmediate(resolve));
    await prove(lane, 1, inlineLimits.returningRuns);
    expect((await lane.run(x(1), toShapes(x(1)))).outputs[0]).toMatchObject({ name: "y", shape: [1, 3] });
    await lane.close();
  });

  it("stays away when the model's file is no longer what was checked", async () => {
    const places = new InlinePlaces(1);
    let asked = 0;
    const { lane } = openLane(places, async () => {
      asked += 1;
      throw new Error("the file's digest is another one");
    });
    for (let run = 0; run < 4 * inlineLimits.provingRuns; run += 1) lane.noteElsewhere(toShapes(x(1)), 500);
    await lane.close();
    expect(asked).toBe(1);
    expect(places.take()).toBe(true);
  });
});
