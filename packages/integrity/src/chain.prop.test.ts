import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { auditEntrySchema, evidenceSchema, type AuditEntry, type Evidence, type Measurement } from "@fairlead/protocol";
import { sealAuditEntry, verifyAuditChain } from "./audit-chain.ts";
import { toCanonicalDigest, toCanonicalText } from "./canonical-digest.ts";
import { foldMeasurements, toChainLink, verifyChain, type ChainHead } from "./chain.ts";

const digest = fc.nat().map((seed) => toCanonicalDigest(seed));
const measurement: fc.Arbitrary<Measurement> = fc.record({
  kind: fc.constantFrom("agent", "model", "configuration", "runtime"),
  name: fc.string({ minLength: 1, maxLength: 8, unit: "grapheme-ascii" }),
  expected: fc.option(digest),
  actual: fc.option(digest),
  reason: fc.option(fc.constantFrom("absent", "permission denied")),
});
const step = fc.record({
  tsMs: fc.integer({ min: 1_000_000_000_000, max: 2_000_000_000_000 }),
  trigger: fc.constantFrom<Evidence["trigger"]>("start", "periodic", "changed", "command", "load"),
  full: fc.boolean(),
  measurements: fc.array(measurement, { maxLength: 3 }),
});
const chain = fc.array(step, { minLength: 2, maxLength: 6 }).map((steps) => {
  const links: Evidence[] = [];
  for (const input of steps) links.push(toChainLink({ ...input, previous: links.at(-1) ?? null }));
  return links;
});
const audit = fc
  .array(
    fc.record({ subject: fc.string({ unit: "grapheme-ascii" }), ratio: fc.double({ noNaN: true, min: 0, max: 1 }) }),
    {
      minLength: 2,
      maxLength: 6,
    },
  )
  .map((steps) => {
    const entries: AuditEntry[] = [];
    for (const { subject, ratio } of steps) {
      const statement = {
        tsMs: 1_700_000_000_000,
        actor: "plane:rollouts",
        action: "pause",
        subject,
        reason: "gate_failed",
        details: { ratio, omitted: undefined },
      };
      entries.push(sealAuditEntry(toAuditHead(entries.at(-1)), statement));
    }
    return entries;
  });

function toAuditHead(entry: AuditEntry | undefined) {
  return entry === undefined ? null : { index: entry.index, hash: entry.hash };
}

/** Kind of the first verdict that is not `next`, or "intact". */
function toFirstFault(links: readonly Evidence[]): string {
  let last: ChainHead | null = null;
  for (const link of links) {
    const verdict = verifyChain(last, link);
    if (verdict.kind !== "next") return verdict.kind;
    last = link;
  }
  return "intact";
}

/** Every value of a JSON document with one leaf changed. */
function toMutants(value: unknown): unknown[] {
  if (Array.isArray(value)) {
    const inner = value.flatMap((item, at) => toMutants(item).map((mutant) => value.with(at, mutant)));
    return [...inner, [...value, { kind: "agent", name: "x", expected: null, actual: null, reason: null }]];
  }
  if (typeof value === "object" && value !== null) {
    return Object.entries(value).flatMap(([key, item]) =>
      toMutants(item).map((mutant) => ({ ...value, [key]: mutant })),
    );
  }
  if (typeof value === "number") return [value + 1];
  if (typeof value === "boolean") return [!value];
  if (typeof value === "string") return [`${value}0`, value.slice(1)].filter((text) => text !== value);
  return ["something"];
}

describe("evidence chain", () => {
  it("has links that fit the wire schema, and accepts an untouched chain", () => {
    fc.assert(
      fc.property(chain, (links) => {
        for (const link of links) expect(evidenceSchema.parse(JSON.parse(JSON.stringify(link)))).toEqual(link);
        expect(toFirstFault(links)).toBe("intact");
      }),
      { numRuns: 30 },
    );
  });

  it("reveals any single change in any link", () => {
    fc.assert(
      fc.property(chain, (links) => {
        links.forEach((link, at) => {
          for (const mutant of toMutants(link)) {
            expect(toFirstFault(links.with(at, mutant as Evidence))).not.toBe("intact");
          }
        });
      }),
      { numRuns: 10 },
    );
  });

  it("reveals a missing link and an exchanged order", () => {
    fc.assert(
      fc.property(chain, fc.nat(), (links, seed) => {
        const at = seed % (links.length - 1);
        expect(toFirstFault(links.toSpliced(at, 1))).toBe("gap");
        expect(toFirstFault(links.toSpliced(at, 2, links[at + 1]!, links[at]!))).toBe("gap");
      }),
      { numRuns: 30 },
    );
  });

  it("reveals a rewritten link even when its own head is right", () => {
    const input = { tsMs: 1_700_000_000_000, trigger: "start" as const, measurements: [], full: true };
    const first = toChainLink({ ...input, previous: null });
    const second = toChainLink({ ...input, previous: first });
    const forged = toChainLink({ ...input, previous: null, tsMs: input.tsMs + 1 });
    expect(verifyChain(first, toChainLink({ ...input, previous: forged })).kind).toBe("fork");
    expect(verifyChain(second, toChainLink({ ...input, previous: first, full: false })).kind).toBe("fork");
    expect(verifyChain(second, forged)).toMatchObject({ kind: "fork", restarted: true });
  });

  it("tells a redelivery from a fork", () => {
    const input = { tsMs: 1_700_000_000_000, trigger: "start" as const, measurements: [], full: true };
    const first = toChainLink({ ...input, previous: null });
    const second = toChainLink({ ...input, previous: first });
    expect(verifyChain(second, second).kind).toBe("replay");
    expect(verifyChain(second, first, first.head).kind).toBe("replay");
    expect(verifyChain(second, first).kind).toBe("fork");
    expect(verifyChain(null, second)).toMatchObject({ kind: "gap", missing: 1 });
  });
});

describe("folded measurements", () => {
  const file: Measurement = { kind: "agent", name: "a", expected: null, actual: null, reason: "absent" };
  it("overlay a full list by kind and name", () => {
    const changed = { ...file, reason: "permission denied" };
    const model: Measurement = { ...file, kind: "model" };
    expect(foldMeasurements([file, model], { full: false, measurements: [changed] })).toEqual([changed, model]);
    expect(foldMeasurements([file, model], { full: true, measurements: [file] })).toEqual([file]);
    expect(foldMeasurements(null, { full: false, measurements: [file] })).toBeNull();
  });
});

describe("audit chain", () => {
  it("is intact after storage as JSON, also in parts", () => {
    fc.assert(
      fc.property(audit, (entries) => {
        const stored = entries.map((entry) => auditEntrySchema.parse(JSON.parse(JSON.stringify(entry))));
        const whole = verifyAuditChain(null, stored);
        expect(whole).toEqual({ kind: "intact", head: toAuditHead(entries.at(-1)) });
        expect(verifyAuditChain(toAuditHead(stored[0]), stored.slice(1))).toEqual(whole);
      }),
      { numRuns: 30 },
    );
  });

  it("reveals any single change, removal and exchange", () => {
    fc.assert(
      fc.property(audit, fc.nat(), (entries, seed) => {
        entries.forEach((entry, at) => {
          for (const mutant of toMutants(entry)) {
            expect(verifyAuditChain(null, entries.with(at, mutant as AuditEntry)).kind).toBe("broken");
          }
        });
        const at = seed % (entries.length - 1);
        expect(verifyAuditChain(null, entries.toSpliced(at, 1)).kind).toBe("broken");
        expect(verifyAuditChain(null, entries.toSpliced(at, 2, entries[at + 1]!, entries[at]!)).kind).toBe("broken");
      }),
      { numRuns: 10 },
    );
  });

  it("refuses details that JSON cannot carry", () => {
    const statement = { tsMs: 1, actor: "a", action: "b", subject: "c", reason: "d", details: { ratio: Number.NaN } };
    expect(() => sealAuditEntry(null, statement)).toThrow(expect.objectContaining({ code: "not_canonical" }));
    expect(() => toCanonicalText(undefined)).toThrow(expect.objectContaining({ code: "not_canonical" }));
  });

  it("uses the canonical form of RFC 8785", () => {
    expect(toCanonicalText({ b: [1e21, 0.000001, -0], a: "é\n", "": null })).toBe(
      '{"":null,"a":"é\\n","b":[1e+21,0.000001,0]}',
    );
  });
});
