import { DatabaseSync } from "node:sqlite";
import { toPayload } from "@fairlead/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { planPass, shrinkTelemetry, type ShrinkOptions } from "./shrink.ts";
import { startMs, toTelemetry } from "./testing/bodies.ts";

describe("shrinking the outbox", () => {
  let database: DatabaseSync;
  beforeEach(() => {
    database = new DatabaseSync(":memory:");
    database.exec(
      "CREATE TABLE items (seq INTEGER PRIMARY KEY, kind TEXT, payload BLOB, bytes INTEGER, merged INTEGER)",
    );
  });
  afterEach(() => database.close());

  function fill(count: number): void {
    const insert = database.prepare("INSERT INTO items VALUES (?, 'telemetry', ?, ?, 1)");
    database.exec("BEGIN");
    for (let seq = 1; seq <= count; seq += 1) {
      const stamp = { v: 1, epoch: "epoch0001", seq, tsMs: startMs, uptimeMs: 1 };
      const payload = toPayload({ ...stamp, ...toTelemetry(seq) });
      insert.run(seq, payload, payload.byteLength);
    }
    database.exec("COMMIT");
  }
  const shrink = (extra: Partial<ShrinkOptions> = {}) =>
    shrinkTelemetry(database, {
      neededBytes: 1_000,
      wantedBytes: 1e9,
      sentUpTo: 0,
      source: "/devices/cam-1",
      monotonicMs: () => 0,
      ...extra,
    });
  const count = (where: string) =>
    Number(database.prepare(`SELECT count(*) AS n FROM items WHERE ${where}`).get()?.["n"]);
  const bytes = () => Number(database.prepare("SELECT sum(bytes) AS n FROM items").get()?.["n"]);

  it("merges the oldest of the least merged, at most 64 pairs at a time, and goes on there the next time", () => {
    fill(300);
    const before = bytes();
    const freed = shrink();
    expect(before - bytes()).toBe(freed);
    expect(count("kind = 'event'")).toBe(64);
    expect(count("kind = 'event' AND seq <= 128")).toBe(64);
    shrink();
    expect(count("kind = 'event'")).toBe(128);
    expect(count("merged > 2")).toBe(0);
    shrink();
    expect(count("kind = 'event'")).toBe(192);
    expect(count("merged = 1")).toBe(0);
    expect(count("merged > 4")).toBe(0);
  });

  it("takes more than 50 ms only while the item that waits has no room, and never more than 250 ms", () => {
    const measure = (neededBytes: number) => {
      fill(300);
      let nowMs = 0;
      shrink({ neededBytes, monotonicMs: () => (nowMs += 10) - 10 });
      const merges = count("kind = 'event'");
      database.exec("DELETE FROM items");
      return merges;
    };
    expect(measure(0)).toBe(4);
    expect(measure(8_000)).toBeGreaterThan(4);
    expect(measure(1e9)).toBe(24);
  });

  it("goes past what it cannot read", () => {
    fill(4);
    database.exec("UPDATE items SET payload = CAST('no json' AS BLOB) WHERE seq = 2");
    expect(shrink()).toBeGreaterThan(0);
    expect(count("seq = 2 AND kind = 'telemetry'")).toBe(1);
    expect(count("seq = 3 AND kind = 'event'")).toBe(1);
  });
});

describe("one pass over the pairs", () => {
  it("touches no item twice, and leaves for the next what stands for twice as much as the least", () => {
    const pairs = [
      { older: 1, newer: 2, windows: 2 },
      { older: 2, newer: 3, windows: 2 },
      { older: 3, newer: 5, windows: 3 },
      { older: 6, newer: 7, windows: 4 },
    ];
    expect(planPass(pairs)).toEqual([pairs[0], pairs[2]]);
    expect(planPass([])).toEqual([]);
  });
});
