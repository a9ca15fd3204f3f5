import { silentLogger } from "@fairlead/kernel";
import type { AuditEntry } from "@fairlead/protocol";
import { openStore, type Store } from "@fairlead/store";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AuditLog } from "../context.ts";
import { createAuditLog, verifyAudit } from "./audit-log.ts";
import { createRefusalAudit, type Refusal, type RefusalAudit } from "./refusal-audit.ts";

const startMs = 1_790_000_000_000;
const minuteMs = 60_000;
let folder = "";
let store: Store;
let refusals: RefusalAudit;
let elapsedMs = 0;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "refusals-"));
  store = openStore({ folder, nowMs: startMs });
  elapsedMs = 0;
  const clock = { nowMs: () => startMs + elapsedMs, monotonicMs: () => elapsedMs };
  refusals = createRefusalAudit({ audit: createAuditLog(clock), store, clock, logger: silentLogger });
});
afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true, force: true });
});

const refusal = (more: Partial<Refusal> = {}): Refusal => ({
  ...{ actor: "anonymous", from: "192.0.2.1", action: "request.refuse", subject: "POST /api/v1/rollouts" },
  ...{ reason: "unauthenticated", ...more },
});
const noteMany = async (count: number, toRefusal: (index: number) => Refusal): Promise<void> => {
  for (let index = 0; index < count; index += 1) await refusals.note(toRefusal(index));
};
const readAll = async (): Promise<AuditEntry[]> => await store.read.audit.listFrom(0, 10_000);
const countOf = async (action: string): Promise<number> =>
  (await readAll()).filter((entry) => entry.action === action).length;

describe("refusals in the audit log", () => {
  it("say who, what, why and from where, and no more of a subject than fits", async () => {
    await refusals.note(refusal({ actor: "viewer:adm-1", subject: "x".repeat(5_000), details: { message: "no" } }));
    expect(await readAll()).toMatchObject([
      {
        ...{ actor: "viewer:adm-1", action: "request.refuse", reason: "unauthenticated", subject: "x".repeat(200) },
        details: { message: "no", from: "192.0.2.1" },
      },
    ]);
  });

  it("are told whatever somebody wrote into them: half a character, a number that is none", async () => {
    const reason = "half a 😀".slice(0, 8);
    await refusals.note(refusal({ reason, subject: "\udc00", details: { "\ud800": Number.NaN, message: reason } }));
    expect(await readAll()).toMatchObject([
      { reason: "half a \ufffd", subject: "\ufffd", details: { "\ufffd": "NaN", message: "half a \ufffd" } },
    ]);
    expect(await verifyAudit(store)).toMatchObject({ verified: true, entries: 1 });
  });

  it("A58 from one address are 60 at once and 30 a minute, and what is beyond is one entry that counts it", async () => {
    await noteMany(100, () => refusal());
    expect(await countOf("request.refuse")).toBe(60);
    elapsedMs += minuteMs;
    await refusals.condense();
    await noteMany(100, (index) => refusal({ reason: index % 2 === 0 ? "forbidden" : "unauthenticated" }));
    expect(await countOf("request.refuse")).toBe(90);
    await refusals.condense();
    await refusals.condense();
    const condensed = (await readAll()).filter(({ action }) => action === "refusals.condense");
    expect(condensed).toMatchObject([
      {
        ...{ actor: "plane:audit", details: { count: 40, byReason: { unauthenticated: 40 }, addresses: 1 } },
      },
      { details: { count: 70, byReason: { forbidden: 35, unauthenticated: 35 }, sinceMs: startMs + minuteMs } },
    ]);
    expect(await verifyAudit(store)).toMatchObject({ verified: true, entries: 92 });
  });

  it("A58 from any number of addresses fill no disk: 20,000 at once and 20,000 a day", async () => {
    const clock = { nowMs: () => startMs, monotonicMs: () => elapsedMs };
    let written = 0;
    const counting = { append: async () => void (written += 1) };
    const flooded = createRefusalAudit({ audit: counting, store, clock, logger: silentLogger });
    for (let second = 0; second < 86_400; second += 2) {
      elapsedMs = second * 1_000;
      for (let index = 0; index < 12; index += 1) await flooded.note(refusal({ from: `a${second}-${index}` }));
    }
    expect(written).toBeGreaterThan(20_000);
    expect(written).toBeLessThanOrEqual(40_001);
  }, 120_000);

  it("keep what a token or a device was refused apart from a flood of strangers", async () => {
    await store.transaction(async (tx) => {
      for (let index = 0; index < 1_000; index += 1) await refusals.append(tx, refusal({ from: `192.0.2.${index}` }));
    });
    await refusals.note(refusal({ actor: "operator:adm-2", reason: "forbidden" }));
    await refusals.note(refusal({ actor: "device:cam-1", action: "broker.refuse" }));
    const entries = await readAll();
    expect(entries.filter(({ actor }) => actor === "anonymous")).toHaveLength(600);
    expect(entries.slice(600).map(({ actor }) => actor)).toEqual(["operator:adm-2", "device:cam-1"]);
  });

  it("tell of a lock-out although its address has used up its share, once a minute while it lasts", async () => {
    await noteMany(60, () => refusal());
    const lockedOut = refusal({ action: "address.lock-out", reason: "rate_limited", isLockOut: true });
    await noteMany(500, () => lockedOut);
    expect(await countOf("address.lock-out")).toBe(1);
    elapsedMs += minuteMs;
    await noteMany(500, () => lockedOut);
    expect(await countOf("address.lock-out")).toBe(2);
    await refusals.condense();
    expect((await readAll()).at(-1)).toMatchObject({ details: { count: 998, byReason: { rate_limited: 998 } } });
  });

  it("A58 of one caller and kind are one entry in ten minutes, and the others are counted by caller and kind", async () => {
    const asked = { actor: "viewer:adm-1", subject: "GET /api/v1/devices/x", reason: "not_found", kind: "GET device" };
    await noteMany(1_000, (index) => refusal({ ...asked, subject: `GET /api/v1/devices/${index}` }));
    await noteMany(50, () => refusal({ ...asked, actor: "anonymous", kind: "no route" }));
    await refusals.condense();
    const entries = await readAll();
    expect(entries.map(({ subject, actor }) => `${actor} ${subject}`)).toEqual([
      "viewer:adm-1 GET /api/v1/devices/0",
      "anonymous GET /api/v1/devices/x",
      "plane:audit refusals",
    ]);
    const byCaller = { "viewer:adm-1: GET device": 999, "anonymous 192.0.2.1: no route": 49 };
    expect(entries[2]?.details).toMatchObject({ count: 1_048, byReason: { not_found: 1_048 }, byCaller });
    elapsedMs += 9 * minuteMs;
    await refusals.note(refusal(asked));
    expect(await countOf("request.refuse")).toBe(2);
    elapsedMs += minuteMs;
    await refusals.note(refusal(asked));
    expect(await countOf("request.refuse")).toBe(3);
  });

  it("A58 of many kinds and callers take no entry from what weighs more, and name whoever is known", async () => {
    await store.transaction(async (tx) => {
      const more = { reason: "not_found", kind: "no route" };
      for (let index = 0; index < 300; index += 1) await refusals.append(tx, refusal({ from: `a${index}`, ...more }));
      for (let index = 0; index < 150; index += 1)
        await refusals.append(tx, refusal({ ...more, actor: "viewer:adm-1", kind: `kind ${index}` }));
      // A share for each kind of caller, and the larger one untouched by both.
      expect(await tx.audit.listFrom(0, 1_000)).toHaveLength(200);
      for (let index = 0; index < 60; index += 1) {
        await refusals.append(tx, refusal({ actor: "viewer:adm-1", reason: "forbidden" }));
        await refusals.append(tx, refusal());
      }
      expect(await tx.audit.listFrom(0, 1_000)).toHaveLength(320);
    });
    await refusals.condense();
    const { byCaller, count } = (await readAll()).at(-1)?.details ?? {};
    expect(count).toBe(250);
    expect(Object.keys(byCaller as object)).toHaveLength(66);
    expect(byCaller).toMatchObject({ "viewer:adm-1: kind 100": 1, "other person": 18, "other anonymous": 168 });
  });

  it("lose no count when others come while the entry cannot be written", async () => {
    let writing = Promise.withResolvers<void>();
    const written: Record<string, unknown>[] = [];
    const clock = { nowMs: () => startMs + elapsedMs, monotonicMs: () => 0 };
    const append: AuditLog["append"] = async (_tx, { details, reason }) => {
      if (reason !== "more was refused than gets an entry each") return;
      await writing.promise;
      written.push(details ?? {});
    };
    const troubled = createRefusalAudit({ audit: { append }, store, clock, logger: silentLogger });
    const noteAll = async (count: number, more: Partial<Refusal>) => {
      for (let index = 0; index < count; index += 1) await troubled.note(refusal(more));
    };
    await noteAll(160, { from: "192.0.2.1" });
    const tried = troubled.condense();
    elapsedMs += 1_000;
    // Counted before anything is asked of the store, which is busy.
    const others = noteAll(50, { from: "192.0.2.1", reason: "forbidden" });
    writing.reject(new Error("the disk is full"));
    await tried;
    await others;
    writing = Promise.withResolvers<void>();
    writing.resolve();
    await troubled.condense();
    const byReason = { unauthenticated: 100, forbidden: 50 };
    expect(written).toMatchObject([{ count: 150, byReason, sinceMs: startMs, addresses: 1 }]);
  });

  it("are counted for the next entry while the log cannot be written, and told at the end of the plane", async () => {
    const full = createRefusalAudit({
      audit: { append: () => Promise.reject(new Error("the disk is full")) },
      ...{ store, logger: silentLogger, clock: { nowMs: () => startMs, monotonicMs: () => 0 } },
    });
    await full.note(refusal());
    await full.condense();
    expect(await readAll()).toEqual([]);
    await noteMany(61, () => refusal());
    await refusals.stop();
    expect((await readAll()).at(-1)).toMatchObject({ action: "refusals.condense", details: { count: 1 } });
  });
});
