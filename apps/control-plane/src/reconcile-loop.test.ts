import { silentLogger } from "@fairlead/kernel";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createReconcileLoop, type Found, type ReconcileLoop } from "./reconcile-loop.ts";

const pass = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe("a reconcile loop", () => {
  let tookMs = 0;
  let runs = 0;
  let restsMs: number[] = [];
  let told: boolean[] = [];
  let found: Found = "nothing";
  let loop: ReconcileLoop;
  beforeEach(() => {
    vi.useFakeTimers();
    [tookMs, runs, restsMs, told, found] = [0, 0, [], [], "nothing"];
    loop = createReconcileLoop({
      ...{ name: "tested", everyMs: 500, logger: silentLogger },
      run: async (signal) => {
        runs += 1;
        await pass(tookMs);
        told.push(signal.aborted);
        return found;
      },
      rest: (forMs, signal) => {
        restsMs.push(Math.round(forMs));
        return signal.aborted ? Promise.resolve() : pass(forMs);
      },
    });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("runs at every tick, and whenever it is asked while that takes little, and does not rest", async () => {
    tookMs = 10;
    loop.start();
    await vi.advanceTimersByTimeAsync(1_400);
    expect(runs).toBe(3);
    for (const wakes of [1, 2, 3]) {
      for (let wake = 0; wake < wakes; wake += 1) loop.wake();
      await vi.advanceTimersByTimeAsync(12);
    }
    expect(runs).toBe(6);
    expect(restsMs).toEqual([]);
    await loop.stop();
  });

  it("goes on at once with work that it found, and gives others as long as that took when it took more than a second", async () => {
    [found, tookMs] = ["work", 900];
    loop.start();
    const asking = setInterval(() => loop.wake(), 50);
    await vi.advanceTimersByTimeAsync(2_000);
    expect([runs, restsMs]).toEqual([3, []]);
    tookMs = 1_500;
    await vi.advanceTimersByTimeAsync(3_000);
    expect(restsMs).toEqual([1_500]);
    clearInterval(asking);
    await Promise.all([loop.stop(), vi.advanceTimersByTimeAsync(3_000)]);
  });

  it("rests four times as long as a long look took that found nothing, however often it is asked, and ten seconds at most", async () => {
    tookMs = 300;
    loop.start();
    const asking = setInterval(() => loop.wake(), 50);
    await vi.advanceTimersByTimeAsync(4_600);
    expect(runs).toBe(4);
    expect(restsMs).toEqual([1_200, 1_200, 1_200]);
    tookMs = 20_000;
    await vi.advanceTimersByTimeAsync(31_500);
    expect(restsMs.slice(3)).toEqual([1_200, 10_000]);
    clearInterval(asking);
    await Promise.all([loop.stop(), vi.advanceTimersByTimeAsync(30_000)]);
  });

  it("tells a run that it is to end, waits for it, and starts again", async () => {
    tookMs = 1_000;
    for (const _start of [1, 2]) {
      loop.start();
      await vi.advanceTimersByTimeAsync(10);
      await Promise.all([loop.stop(), vi.advanceTimersByTimeAsync(1_000)]);
    }
    expect(told).toEqual([true, true]);
  });

  it("ends while it rests", async () => {
    let runsOfOne = 0;
    const one = createReconcileLoop({
      ...{ name: "tested", everyMs: 500, logger: silentLogger },
      run: async () => {
        runsOfOne += 1;
        await pass(1_000);
        return "nothing";
      },
      rest: (_forMs, signal) => new Promise((resolve) => signal.addEventListener("abort", () => resolve())),
    });
    one.start();
    await vi.advanceTimersByTimeAsync(10_000);
    await one.stop();
    expect(runsOfOne).toBe(1);
  });
});
