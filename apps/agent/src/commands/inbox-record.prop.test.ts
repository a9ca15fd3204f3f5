import type { SignedCommand } from "@fairlead/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  admitCommand,
  emptyInbox,
  endCommand,
  inboxSchema,
  toHighestGeneration,
  type InboxRecord,
} from "./inbox-record.ts";

const toCommandId = (generation: number) => `cmd-${String(generation).padStart(26, "0")}`;
const toEnvelope = (generation: number): SignedCommand => ({
  signed: {
    ...{ type: "command", v: 1, tenant: "acme", device: "cam-1", enrolledKey: `sha256:${"e".repeat(64)}` },
    ...{ commandId: toCommandId(generation), generation, issuedAtMs: 1_800_000_000_000 },
    ...{ deadlineAtMs: 1_800_000_060_000, action: { kind: "measure" } },
  },
  signatures: [{ keyId: `sha256:${"a".repeat(64)}`, sig: `${"A".repeat(86)}==` }],
});

/** A command comes, for the first time or again, or the oldest that runs comes to its end. */
type Happening = { readonly kind: "comes"; readonly generation: number } | { readonly kind: "ends" };
const capacity = 6;
const comes = fc.record({ kind: fc.constant("comes" as const), generation: fc.integer({ min: 1, max: 30 }) });
const ends = fc.constant({ kind: "ends" as const });
const anyhow: fc.Arbitrary<Happening[]> = fc.array(
  fc.oneof({ weight: 3, arbitrary: comes }, { weight: 2, arbitrary: ends }),
  {
    maxLength: 80,
  },
);
/** As a plane sends, with some of it out of order and some of it twice. */
const inOrder: fc.Arbitrary<Happening[]> = fc
  .array(fc.record({ late: fc.nat(12), ended: fc.nat(2) }), { minLength: 10, maxLength: 40 })
  .map((list) =>
    list.flatMap(({ late, ended }, index): Happening[] => [
      { kind: "comes", generation: index + 1 },
      { kind: "comes", generation: Math.max(1, index + 1 - late) },
      ...Array.from({ length: ended }, () => ({ kind: "ends" }) as const),
    ]),
  );

describe("the memory of the command inbox", () => {
  it("admits no command twice, whatever comes in whatever order, and forgets none that has not ended", () => {
    fc.assert(
      fc.property(fc.oneof(anyhow, inOrder), (happenings) => {
        let record: InboxRecord = emptyInbox;
        const admitted = new Set<number>();
        const ended = new Set<number>();
        for (const now of happenings) {
          if (now.kind === "ends") {
            const next = record.commands.find(({ envelope }) => envelope !== null);
            if (next === undefined) continue;
            ended.add(next.generation);
            record = endCommand(record, next.commandId);
            continue;
          }
          const before = record;
          const admittance = admitCommand(record, toEnvelope(now.generation), capacity);
          if (admittance.kind !== "admitted") continue;
          expect(admitted.has(now.generation)).toBe(false);
          admitted.add(now.generation);
          record = admittance.record;
          expect(record.forgotten).toBeGreaterThanOrEqual(before.forgotten);
          expect(toHighestGeneration(record)).toBe(Math.max(...admitted));
        }
        expect(inboxSchema.parse(record)).toEqual(record);
        expect(record.commands.length).toBeLessThanOrEqual(capacity);
        const running = record.commands.filter(({ envelope }) => envelope !== null).map(({ generation }) => generation);
        expect(new Set(running)).toEqual(new Set([...admitted].filter((generation) => !ended.has(generation))));
      }),
      { numRuns: 500 },
    );
  });

  it("admits whatever is new among the last 256, in any order, so that nothing that a connection mixed up is lost", () => {
    fc.assert(
      fc.property(
        fc.nat(2 ** 40),
        fc.shuffledSubarray(
          Array.from({ length: 256 }, (_, at) => at + 1),
          { minLength: 1 },
        ),
        (from, order) => {
          let record: InboxRecord = { ...emptyInbox, forgotten: from };
          for (const offset of order) {
            const admittance = admitCommand(record, toEnvelope(from + offset));
            if (admittance.kind !== "admitted") return expect(admittance.kind).toBe("admitted");
            record = endCommand(admittance.record, toCommandId(from + offset));
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it("lets a command wait while none of 256 has ended, and admits it as soon as one has", () => {
    let record: InboxRecord = emptyInbox;
    for (let generation = 1; generation <= 256; generation += 1) {
      const admittance = admitCommand(record, toEnvelope(generation));
      if (admittance.kind === "admitted") record = admittance.record;
    }
    expect(admitCommand(record, toEnvelope(257))).toEqual({ kind: "full" });
    record = endCommand(record, toCommandId(40));
    const admittance = admitCommand(record, toEnvelope(257));
    expect(admittance).toMatchObject({ kind: "admitted", record: { forgotten: 40 } });
    expect(admitCommand(record, toEnvelope(39)).kind).toBe("known");
  });
});
