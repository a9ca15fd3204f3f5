import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { eventMessageSchema, limits, parsePayload, telemetryMessageSchema, toPayload } from "@fairlead/protocol";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openOutbox, type Outbox, type OutboxOptions } from "./outbox.ts";
import { startMs, toReply, toTelemetry, toWideTelemetry } from "./testing/bodies.ts";

describe("the outbox", () => {
  let folder: string;
  let epochs = 0;
  const opened: Outbox[] = [];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "outbox-"));
    epochs = 0;
  });
  afterEach(() => {
    for (const outbox of opened.splice(0)) close(outbox);
    rmSync(folder, { recursive: true, force: true });
  });
  const close = (outbox: Outbox) => {
    try {
      outbox.close();
    } catch {
      // Closed by the test already.
    }
  };
  function open(extra: Partial<OutboxOptions> = {}): Outbox {
    const outbox = openOutbox({
      path: join(folder, "outbox.db"),
      clock: { nowMs: () => startMs, monotonicMs: () => 42 },
      createEpoch: () => `epoch000${(epochs += 1)}`,
      source: "/devices/cam-1",
      ...extra,
    });
    opened.push(outbox);
    return outbox;
  }
  const seqs = (outbox: Outbox, after = 0) => outbox.pending(after, 1e9).map((item) => item.seq);

  it("stamps what is appended and keeps it until it is acknowledged", () => {
    const outbox = open();
    expect(outbox.append("telemetry", toTelemetry(1))).toEqual({ kind: "stored", seq: 1 });
    expect(outbox.append("reply", toReply())).toEqual({ kind: "stored", seq: 2 });
    const [first] = outbox.pending(0, 1);
    expect(parsePayload(telemetryMessageSchema, first!.payload)).toMatchObject({
      v: 1,
      epoch: "epoch0001",
      seq: 1,
      tsMs: startMs,
      uptimeMs: 42,
    });
    expect(outbox.acknowledge({ epoch: "epoch0001", upTo: 1 })).toEqual({ kind: "acknowledged", removed: 1 });
    expect(outbox.acknowledge({ epoch: "epoch0001", upTo: 1 })).toEqual({ kind: "acknowledged", removed: 0 });
    expect(seqs(outbox)).toEqual([2]);
  });

  it("never uses a number twice, also after everything was acknowledged and the process restarted", () => {
    const first = open();
    first.append("reply", toReply());
    first.append("reply", toReply());
    first.acknowledge({ epoch: first.epoch, upTo: 2 });
    first.close();
    const second = open();
    expect(second.epoch).toBe("epoch0001");
    expect(second.origin).toEqual({ kind: "existing" });
    expect(second.lastSeq).toBe(2);
    expect(second.append("reply", toReply())).toEqual({ kind: "stored", seq: 3 });
  });

  it("ignores acknowledgements of another epoch and of what was never sent", () => {
    const outbox = open();
    outbox.append("reply", toReply());
    expect(outbox.acknowledge({ epoch: "epoch9999", upTo: 1 })).toMatchObject({ code: "other_epoch" });
    expect(outbox.acknowledge({ epoch: outbox.epoch, upTo: 2 })).toMatchObject({ code: "beyond_last" });
    expect(seqs(outbox)).toEqual([1]);
  });

  it("refuses what the wire would refuse, counts it and reports the loss with the next item", () => {
    const outbox = open();
    expect(outbox.append("telemetry", { windows: [] })).toMatchObject({ kind: "refused", code: "item_invalid" });
    expect(outbox.stats().lostItems).toBe(1);
    outbox.append("reply", toReply());
    const report = parsePayload(eventMessageSchema, outbox.pending(1, 1e9)[0]!.payload);
    expect(report.event.data).toMatchObject({ kind: "outbox-merged", droppedWindows: 1 });
  });

  it("stores with an unset clock", () => {
    expect(open({ clock: { nowMs: () => 0, monotonicMs: () => 1 } }).append("reply", toReply()).kind).toBe("stored");
  });

  it("merges telemetry when it is full, keeps every number and every count", () => {
    const capacityBytes = 40_000;
    const outbox = open({ capacityBytes });
    outbox.append("reply", toReply());
    let last = 1;
    for (let index = 2; index <= 60; index += 1) {
      const result = outbox.append("telemetry", toTelemetry(index));
      if (result.kind === "stored") last = result.seq;
      expect(result.kind).toBe("stored");
    }
    const items = outbox.pending(0, 1e9);
    expect(items.map((item) => item.seq)).toEqual(Array.from({ length: last }, (_, index) => index + 1));
    expect(outbox.stats().bytes).toBeLessThanOrEqual(capacityBytes);
    const kinds = new Set(items.map((item) => item.kind));
    expect(kinds).toEqual(new Set(["reply", "event", "telemetry"]));
    const windows = items
      .filter((item) => item.kind === "telemetry")
      .flatMap((item) => parsePayload(telemetryMessageSchema, item.payload).windows);
    expect(windows.reduce((sum, window) => sum + window.mergedWindows, 0)).toBe(59);
    expect(windows.reduce((sum, window) => sum + window.slots[0]!.requests, 0)).toBe(59 * 3);
    for (const item of items.filter((each) => each.kind === "event")) parsePayload(eventMessageSchema, item.payload);
  });

  it("holds up the supervisor for a bounded time when it is full, and stores what comes all the same", () => {
    let nowMs = 0;
    const outbox = open({
      capacityBytes: 200_000,
      clock: { nowMs: () => startMs, monotonicMs: () => (nowMs += 10) },
    });
    const countMerged = () => outbox.pending(0, 1e9).filter((item) => item.kind === "event").length;
    while (countMerged() === 0) {
      expect(outbox.append("telemetry", toTelemetry(outbox.lastSeq + 1)).kind).toBe("stored");
    }
    expect(countMerged()).toBeLessThanOrEqual(5);
    for (let more = 0; more < 50; more += 1) {
      expect(outbox.append("telemetry", toTelemetry(outbox.lastSeq + 1)).kind).toBe("stored");
    }
  });

  it("makes nothing by merging that is too large for a message, and loses nothing for that", () => {
    const outbox = open({ capacityBytes: 1_048_576 });
    // Twenty classifiers of a thousand labels, most of whose builds are replaced meanwhile.
    for (let index = 1; index <= 8; index += 1) {
      expect(outbox.append("telemetry", toWideTelemetry(index, index <= 3 ? 0 : 15)).kind).toBe("stored");
    }
    const items = outbox.pending(0, 1e9);
    expect(items.some((item) => item.kind === "event")).toBe(true);
    for (const item of items) expect(item.payload.byteLength).toBeLessThanOrEqual(limits.mqttPayloadBytes);
  });

  it("gives up, under its own number, what lies on the disk and is too large for a message", () => {
    const first = open({ capacityBytes: 2_000_000 });
    for (let index = 1; index <= 4; index += 1) first.append("telemetry", toTelemetry(index));
    const [, kept] = first.pending(0, 1e9);
    first.markSent(3);
    first.close();
    const database = new DatabaseSync(join(folder, "outbox.db"));
    const enlarge = database.prepare("UPDATE items SET payload = ?, bytes = ?, kind = ? WHERE seq = ?");
    const message = parsePayload(telemetryMessageSchema, kept!.payload);
    const [window] = toWideTelemetry(2, 0).windows;
    const wide = toPayload({ ...message, windows: [window, { ...window, mergedWindows: 4 }] });
    enlarge.run(wide, wide.byteLength, "telemetry", 2);
    enlarge.run(Buffer.alloc(300_000), 300_000, "evidence", 3);
    database.close();

    const second = open({ capacityBytes: 2_000_000 });
    const items = second.pending(0, 1e9);
    expect(items.map(({ seq, kind }) => [seq, kind])).toEqual([
      [1, "telemetry"],
      [2, "event"],
      [3, "event"],
      [4, "telemetry"],
    ]);
    const [two, three] = items.slice(1, 3).map((item) => parsePayload(eventMessageSchema, item.payload));
    expect(two).toMatchObject({ seq: 2, tsMs: startMs, event: { data: { kind: "outbox-merged", droppedWindows: 5 } } });
    expect(three).toMatchObject({ seq: 3, event: { data: { kind: "outbox-merged", droppedWindows: 1 } } });
    expect(second.stats().lostItems).toBe(2);
    expect(second.stats().bytes).toBe(items.reduce((sum, item) => sum + item.payload.byteLength, 0));
  });

  it("merges nothing that may have left already, and refuses telemetry before it gives up anything else", () => {
    const outbox = open({ capacityBytes: 12_000 });
    for (let index = 1; index <= 6; index += 1) outbox.append("telemetry", toTelemetry(index));
    const before = outbox.pending(0, 1e9);
    outbox.markSent(outbox.lastSeq);
    let refused: unknown;
    for (let index = 0; index < 20 && refused === undefined; index += 1) {
      const result = outbox.append("evidence", toEvidence());
      if (result.kind === "refused") refused = result.code;
      else expect(outbox.append("telemetry", toTelemetry(9)).kind).toBeDefined();
    }
    expect(outbox.pending(0, 1e9).slice(0, before.length)).toEqual(before);
    expect(outbox.append("telemetry", toTelemetry(9))).toMatchObject({ kind: "refused", code: "outbox_full" });
  });

  const toEvidence = () => ({
    evidence: {
      index: 0,
      tsMs: startMs,
      previous: `sha256:${"0".repeat(64)}`,
      head: `sha256:${"1".repeat(64)}`,
      trigger: "start" as const,
      full: true,
      measurements: [],
    },
  });

  it("answers a full disk with a code, keeps what it has and goes on when there is room", () => {
    const outbox = open({ maxFileBytes: 200_000 });
    let result = outbox.append("reply", toReply());
    for (let index = 1; index < 500 && result.kind === "stored"; index += 1) {
      result = outbox.append("telemetry", toTelemetry(index));
    }
    expect(result).toMatchObject({ kind: "refused", code: "disk_full" });
    const kept = seqs(outbox);
    expect(kept.at(-1)).toBe(outbox.lastSeq);
    expect(outbox.acknowledge({ epoch: outbox.epoch, upTo: 50 }).kind).toBe("acknowledged");
    expect(outbox.append("reply", toReply())).toEqual({ kind: "stored", seq: kept.at(-1)! + 1 });
    expect(outbox.stats().lostItems).toBe(1);
  });

  it("moves a damaged file aside, begins a new epoch and says so", () => {
    writeFileSync(join(folder, "outbox.db"), "this is no database, and it is long enough to look like one".repeat(50));
    const outbox = open();
    expect(outbox.origin).toMatchObject({ kind: "replaced" });
    expect(outbox.append("reply", toReply())).toEqual({ kind: "stored", seq: 1 });
    expect(readdirSync(folder).some((name) => name.startsWith("outbox.db.damaged-"))).toBe(true);
    expect(statSync(join(folder, "outbox.db")).mode & 0o777).toBe(0o600);
  });

  it("hands out, in order, exactly what is neither acknowledged nor behind the asker", () => {
    const step = fc.oneof(fc.constant("append" as const), fc.nat(30), fc.constant("reopen" as const));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
        const path = join(folder, `outbox-${(epochs += 1)}.db`);
        let outbox = open({ path });
        let acknowledged = 0;
        for (const each of steps) {
          if (each === "append") outbox.append("reply", toReply());
          else if (each === "reopen") {
            outbox.close();
            outbox = open({ path });
          } else if (outbox.acknowledge({ epoch: outbox.epoch, upTo: each }).kind === "acknowledged") {
            acknowledged = Math.max(acknowledged, each);
          }
          const expected = Array.from(
            { length: outbox.lastSeq - acknowledged },
            (_, index) => acknowledged + index + 1,
          );
          expect(seqs(outbox)).toEqual(expected);
        }
        close(outbox);
      }),
      { numRuns: 25 },
    );
  });

  it("keeps every append that returned when the process is killed", async () => {
    const path = join(folder, "killed.db");
    const script = new URL("testing/append-forever.ts", import.meta.url).pathname;
    for (let round = 1; round <= 3; round += 1) {
      const child = spawn(process.execPath, [script, path], { stdio: ["ignore", "pipe", "inherit"] });
      let acknowledged = 0;
      const target = 20 * round + round * round;
      const exit = once(child, "exit");
      for await (const line of createInterface({ input: child.stdout })) {
        acknowledged = Number(line);
        if (acknowledged >= target) child.kill("SIGKILL");
      }
      await exit;
      const outbox = open({ path });
      const found = seqs(outbox);
      expect(outbox.epoch).toBe("epoch0001");
      expect(found.at(-1)).toBeGreaterThanOrEqual(acknowledged);
      expect(found).toEqual(Array.from({ length: found.length }, (_, index) => index + 1));
      outbox.close();
    }
  });
});
