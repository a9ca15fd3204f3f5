import { sealAuditEntry } from "@fairlead/integrity";
import type { AuditEntry } from "@fairlead/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { verifyPages } from "./verify-pages.ts";

function makeLog(length: number, actor = "admin:a"): AuditEntry[] {
  const log: AuditEntry[] = [];
  for (let index = 0; index < length; index += 1) {
    const statement = { tsMs: 1_700_000_000_000 + index, actor, action: "x", subject: "s", reason: "r" };
    log.push(sealAuditEntry(log.at(-1) ?? null, { ...statement, details: { index } }));
  }
  return log;
}

/** As the plane lists it: newest first, so many at a time. */
async function* toPages(log: readonly AuditEntry[], size: number): AsyncGenerator<readonly AuditEntry[]> {
  const newestFirst = log.toReversed();
  for (let start = 0; start < newestFirst.length; start += size) yield newestFirst.slice(start, start + size);
}
const toHead = ({ index, hash }: AuditEntry) => ({ index, hash });
const sizes = fc.integer({ min: 1, max: 12 });
const lengths = fc.integer({ min: 2, max: 40 });

/** What somebody with the database may do to a log; each leaves it different. */
const forgeries: Readonly<Record<string, (log: AuditEntry[], at: number) => AuditEntry[]>> = {
  "changes an entry": (log, at) => log.with(at, { ...log[at], actor: "admin:b" } as AuditEntry),
  "changes an entry and its hash": (log, at) => {
    const { hash: _hash, index: _index, previous, ...statement } = log[at] as AuditEntry;
    const before = at === 0 ? null : { index: at - 1, hash: previous };
    return log.with(at, sealAuditEntry(before, { ...statement, actor: "admin:b" }));
  },
  "removes an entry": (log, at) => log.toSpliced(at, 1),
  "removes an entry and counts anew": (log, at) => log.toSpliced(at, 1).map((entry, index) => ({ ...entry, index })),
  "swaps two entries": (log, at) => {
    const [one, two] = [log[at], log[at + 1]] as [AuditEntry, AuditEntry];
    return log.with(at, { ...two, index: one.index }).with(at + 1, { ...one, index: two.index });
  },
  "repeats an entry": (log, at) => log.toSpliced(at, 0, log[at] as AuditEntry),
};

describe("a log that is verified page by page", () => {
  it("is intact as it was written, whatever the size of a page, and has its heads of earlier", async () => {
    await fc.assert(
      fc.asyncProperty(lengths, sizes, fc.nat(), async (length, size, at) => {
        const log = makeLog(length);
        const kept = log[at % length] as AuditEntry;
        const head = toHead(log.at(-1) as AuditEntry);
        expect(await verifyPages(toPages(log, size), toHead(kept))).toEqual({ kind: "intact", entries: length, head });
      }),
    );
    expect(await verifyPages(toPages([], 1), null)).toEqual({ kind: "intact", entries: 0, head: null });
  });

  it.each(Object.entries(forgeries))("is broken there when somebody %s", async (_what, forge) => {
    await fc.assert(
      fc.asyncProperty(lengths, sizes, fc.nat(), async (length, size, random) => {
        // The newest entry has nothing after it that would show what happened to it: that needs a kept head.
        const at = random % (length - 1);
        const verdict = await verifyPages(toPages(forge(makeLog(length), at), size), null);
        expect(verdict).toMatchObject({ kind: "broken" });
        if (verdict.kind === "broken") expect([at, at + 1]).toContain(verdict.index);
      }),
    );
  });

  it("A62 that was shortened, or written anew as a whole, no longer has the head that was kept", async () => {
    await fc.assert(
      fc.asyncProperty(lengths, sizes, fc.integer({ min: 1, max: 40 }), async (length, size, cut) => {
        const log = makeLog(length);
        const kept = toHead(log.at(-1) as AuditEntry);
        const shortened = await verifyPages(toPages(log.slice(0, Math.max(0, length - cut)), size), kept);
        expect(shortened).toMatchObject({
          kind: "broken",
          index: kept.index,
          reason: expect.stringContaining("shortened") as string,
        });
        const anew = await verifyPages(toPages(makeLog(length + 1, "admin:b"), size), kept);
        expect(anew).toMatchObject({
          kind: "broken",
          index: kept.index,
          reason: expect.stringContaining("kept as its head") as string,
        });
      }),
    );
  });
});
