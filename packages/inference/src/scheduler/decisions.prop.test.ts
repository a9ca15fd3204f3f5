import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decideAdmission, estimateLoadBytes } from "./admission.ts";
import { decideJoinWait, toJoinKey } from "./batch-plan.ts";
import { ClientLedger, toParts } from "./client-ledger.ts";
import { toWeights } from "./ledger.ts";
import { decidePlace } from "./queue-place.ts";
import { concatenateRows, splitRows } from "./rows.ts";
import { defaultSettings, isJoinable, toLevel, toMaxBatchSize, type Priority } from "./settings.ts";
import type { Tensor } from "../tensor.ts";

const bytes = fc.integer({ min: 0, max: 10_000 });
const memory = fc.record({
  neededBytes: bytes,
  availableBytes: bytes,
  reserveBytes: fc.integer({ min: 0, max: 500 }),
  rssBytes: bytes,
  budgetBytes: fc.option(bytes, { nil: null }),
  idleLoads: fc
    .array(fc.record({ lastUsedMs: fc.integer({ min: 0, max: 99 }), bytes }), { maxLength: 5 })
    .map((loads) => loads.map((load, index) => ({ ...load, loadId: `l${index}` }))),
});

describe("admission to memory", () => {
  it("admits only what fits after unloading, gives up the longest unused first and none in vain", () => {
    fc.assert(
      fc.property(memory, (state) => {
        const budget = state.budgetBytes === null ? Number.POSITIVE_INFINITY : state.budgetBytes - state.rssBytes;
        const room = Math.min(state.availableBytes - state.reserveBytes, budget);
        const admission = decideAdmission(state);
        const sum = (loads: typeof state.idleLoads) => loads.reduce((total, load) => total + load.bytes, 0);
        if (admission.kind === "refuse") {
          expect(admission.missingBytes).toBe(state.neededBytes - room - sum(state.idleLoads));
          expect(admission.missingBytes).toBeGreaterThan(0);
          return;
        }
        const gone = admission.unload.map((id) => state.idleLoads.find(({ loadId }) => loadId === id)!);
        const kept = state.idleLoads.filter((load) => !gone.includes(load));
        expect(room + sum(gone)).toBeGreaterThanOrEqual(state.neededBytes);
        if (gone.length > 0) expect(room + sum(gone.slice(0, -1))).toBeLessThan(state.neededBytes);
        for (const one of gone) for (const other of kept) expect(one.lastUsedMs).toBeLessThanOrEqual(other.lastUsedMs);
      }),
    );
  });

  it("expects three times the file at the peak, and more for each further instance", () => {
    const mebibyte = 1_048_576;
    expect(estimateLoadBytes(100 * mebibyte, 1)).toBe(324 * mebibyte);
    expect(estimateLoadBytes(100 * mebibyte, 2)).toBe(548 * mebibyte);
  });
});

describe("a place in a full queue", () => {
  const ratio = fc.double({ min: 0, max: 1, noNaN: true });
  const ratios = fc.record({ heldRatio: ratio, shareRatio: ratio });
  const queue = fc.record({
    heldRatio: ratio,
    shareRatio: ratio,
    greediest: fc.option(ratios, { nil: null }),
    lowerWaits: fc.boolean(),
  });

  it("blames a quota only on a client that holds more than its share", () => {
    fc.assert(
      fc.property(queue, (state) => {
        const place = decidePlace(state);
        if (place.code !== "quota_exceeded") return;
        const blamed = place.kind === "refuse" ? state : state.greediest!;
        expect(blamed.heldRatio).toBeGreaterThan(blamed.shareRatio);
      }),
    );
  });

  it("never displaces for a client that has its share already, except lower work", () => {
    fc.assert(
      fc.property(queue, (state) => {
        const place = decidePlace(state);
        if (place.kind !== "displace" || place.whom === "lower") return;
        expect(state.heldRatio).toBeLessThan(state.shareRatio);
      }),
    );
  });

  it("calls a queue that one client fills alone overloaded", () => {
    const alone = { heldRatio: 1, shareRatio: 1, greediest: null, lowerWaits: false };
    expect(decidePlace(alone)).toEqual({ kind: "refuse", code: "overloaded" });
  });
});

describe("waiting for more rows", () => {
  const state = fc.record({
    waiting: fc.integer({ min: 1, max: 64 }),
    rows: fc.integer({ min: 1, max: 64 }),
    maxBatchSize: fc.integer({ min: 2, max: 64 }),
    seenAtOnce: fc.integer({ min: 1, max: 64 }),
    oldestMs: fc.integer({ min: 0, max: 20 }),
    maxQueueDelayMs: fc.integer({ min: 0, max: 10 }),
    nowMs: fc.integer({ min: 20, max: 40 }),
  });

  it("ends at the oldest request's delay, and is never begun with a full run or by a client alone", () => {
    fc.assert(
      fc.property(state, (facts) => {
        const untilMs = decideJoinWait(facts);
        if (untilMs === null) return;
        expect(untilMs).toBe(facts.oldestMs + facts.maxQueueDelayMs);
        expect(untilMs).toBeGreaterThan(facts.nowMs);
        expect(facts.rows).toBeLessThan(facts.maxBatchSize);
        expect(facts.seenAtOnce).toBeGreaterThan(1);
      }),
    );
    const alone = { waiting: 1, rows: 1, maxBatchSize: 8, seenAtOnce: 1, oldestMs: 0, maxQueueDelayMs: 9, nowMs: 0 };
    expect(decideJoinWait(alone)).toBeNull();
  });
});

describe("rows", () => {
  const x = (rows: number, from: number): Tensor => ({
    ...{ name: "x", datatype: "FP32", shape: [rows, 2] },
    data: Float32Array.from({ length: rows * 2 }, (_, index) => from + index),
  });
  const id = (rows: number, from: number): Tensor => ({
    ...{ name: "id", datatype: "INT64", shape: [rows] },
    data: BigInt64Array.from({ length: rows }, (_, index) => BigInt(from + index)),
  });

  it("come apart as they were put together, whatever the order of a request's tensors", () => {
    const specs = [
      { name: "id", datatype: "INT64", shape: [-1] },
      { name: "x", datatype: "FP32", shape: [-1, 2] },
    ] as const;
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 5 }), fc.boolean()), { minLength: 1 }), (parts) => {
        const requests = parts.map(([rows, turned], index) => {
          const tensors = [id(rows, index * 100), x(rows, index * 100)];
          return turned ? tensors.toReversed() : tensors;
        });
        const joined = concatenateRows(specs, requests);
        const split = splitRows(
          joined,
          parts.map(([rows]) => rows),
        );
        for (const [index, request] of requests.entries()) {
          const named = (name: string) => request.find((tensor) => tensor.name === name)!;
          expect(split?.[index]).toEqual([named("id"), named("x")]);
        }
      }),
    );
  });

  it("cannot be split from an output that has not one row for each row", () => {
    expect(splitRows([x(3, 0)], [1, 1])).toBeNull();
  });

  it("share a run only when every other dimension is equal and all inputs have the same rows", () => {
    const wide: Tensor = { ...x(1, 0), shape: [1, 1, 2] };
    expect(toJoinKey([x(1, 0), id(1, 0)])).toBe(toJoinKey([id(4, 0), x(4, 0)]));
    expect(toJoinKey([x(1, 0)])).not.toBe(toJoinKey([wide]));
    expect(toJoinKey([x(2, 0), id(1, 0)])).toBeNull();
    expect(toJoinKey([{ ...x(0, 0), shape: [0, 2] }])).toBeNull();
    expect(toJoinKey([])).toBeNull();
  });

  it("may be joined only where the first dimension of every input and output is free", () => {
    const spec = (first: number) => ({ name: "s", datatype: "FP32" as const, shape: [first, 2] });
    expect(isJoinable({ inputs: [spec(-1)], outputs: [spec(-1)] })).toBe(true);
    const settings = { ...defaultSettings, maxBatchSize: 8 };
    expect(toMaxBatchSize({ inputs: [spec(-1)], outputs: [spec(-1)] }, settings)).toBe(8);
    expect(toMaxBatchSize({ inputs: [spec(-1)], outputs: [spec(-1)] }, defaultSettings)).toBe(0);
    expect(toMaxBatchSize({ inputs: [spec(-1)], outputs: [spec(1)] }, settings)).toBe(0);
    expect(isJoinable({ inputs: [spec(-1)], outputs: [spec(1)] })).toBe(false);
    expect(isJoinable({ inputs: [spec(-1), { ...spec(1), shape: [] }], outputs: [spec(-1)] })).toBe(false);
  });
});

describe("weights and levels", () => {
  it("leave what is not given away to those without a share, in equal parts", () => {
    const weights = toWeights(
      new Map([
        ["a", 0.5],
        ["b", null],
        ["c", null],
      ]),
    );
    expect([...weights]).toEqual([
      ["a", 0.5],
      ["b", 0.25],
      ["c", 0.25],
    ]);
  });

  it("divide what listed clients leave among all others together", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 10, max: 90 }), (others, percent) => {
        const ledger = new ClientLedger(8);
        const shares = { x: percent / 100 };
        const listed = ledger.open("x", shares);
        const rest = Array.from({ length: others }, (_, index) => ledger.open(`toString-${index}`, shares));
        for (const client of [listed, ...rest]) ledger.enter(client);
        expect(ledger.busy).toBe(others + 1);
        const toPart = toParts(new Set([listed, ...rest]));
        expect(toPart(listed)).toBeCloseTo(percent / 100, 9);
        for (const client of rest) expect(toPart(client)).toBeCloseTo((1 - percent / 100) / others, 9);
        for (const client of [listed, ...rest]) ledger.leave(client);
        expect(ledger.busy).toBe(0);
      }),
    );
    // An inherited name is nobody's share.
    expect(new ClientLedger(8).open("toString", { x: 0.75 }).over?.weight).toBe(0.25);
  });

  it("let a request wait as batch work, and never raise it above its slot's class", () => {
    const priority = fc.constantFrom<Priority>("realtime", "normal", "batch");
    fc.assert(
      fc.property(priority, priority, (asked, slot) => {
        const own = toLevel(slot, slot);
        expect(toLevel(asked, slot)).toBe(asked === "batch" ? 2 : own);
        expect(toLevel(asked, slot)).toBeGreaterThanOrEqual(own);
      }),
    );
  });
});
