import { appraise, toFileBaseline } from "@fairlead/integrity";
import type { Measurement } from "@fairlead/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { acceptChanges, listChangedConfiguration } from "./changed-configuration.ts";

const toDigest = (seed: number): string => `sha256:${String(seed).repeat(64)}`;
const digest = fc.integer({ min: 0, max: 3 }).map(toDigest);
const operators = ["config.yaml", "other.yaml", "__proto__"];
const file = fc.oneof(
  fc.record({ kind: fc.constant("configuration" as const), name: fc.constantFrom(...operators, "identity/ca.pem") }),
  fc.record({ kind: fc.constant("agent" as const), name: fc.constantFrom("agent/src/main.ts", "config.yaml") }),
);
const measurements = fc.uniqueArray(
  fc
    .record({ file, actual: fc.option(digest), expected: fc.option(digest, { freq: 5 }) })
    .map(({ file: { kind, name }, actual, expected }): Measurement => ({
      ...{ kind, name, actual, expected: expected === null ? null : actual },
      reason: actual === null ? "EACCES" : null,
    })),
  { selector: ({ kind, name }) => `${kind}:${name}`, minLength: 1, maxLength: 6 },
);
const context = { chain: { kind: "next" }, receivedAtMs: 0, nowMs: 0, maxAgeMs: 1 } as const;
const listFailing = (files: ReturnType<typeof toFileBaseline>, now: Measurement[]) =>
  appraise({ slots: {}, files }, now, context).failing.map(({ kind, name, actual }) => ({ kind, name, actual }));

describe("the configuration that an operator may accept", () => {
  it("is what people write and the device could read: once accepted it fails no more, and everything else does as before", () => {
    fc.assert(
      fc.property(measurements, measurements, (before, now) => {
        const baseline = toFileBaseline(before, 1);
        const changes = listChangedConfiguration({ fileBaseline: baseline, measurements: now });
        for (const { name } of changes) expect(operators).toContain(name);
        const accepted = acceptChanges(baseline, changes);
        expect(listChangedConfiguration({ fileBaseline: accepted, measurements: now })).toEqual([]);
        const isAccepted = ({ kind, name }: Pick<Measurement, "kind" | "name">) =>
          kind === "configuration" && changes.some((change) => change.name === name);
        expect(listFailing(accepted, now)).toEqual(
          listFailing(baseline, now).filter((failing) => !isAccepted(failing)),
        );
      }),
    );
  });

  it("is what it was accepted as and nothing else: a further change is another one", () => {
    fc.assert(
      fc.property(measurements, digest, digest, (before, one, another) => {
        const toNow = (actual: string): Measurement[] => [
          { kind: "configuration", name: "config.yaml", expected: null, actual, reason: null },
        ];
        const baseline = toFileBaseline(before, 1);
        const list = (fileBaseline: typeof baseline, actual: string) =>
          listChangedConfiguration({ fileBaseline, measurements: toNow(actual) }).filter(
            ({ name }) => name === "config.yaml",
          );
        const accepted = acceptChanges(baseline, list(baseline, one));
        const expected = one === another ? [] : [{ name: "config.yaml", before: one, after: another }];
        expect(list(accepted, another)).toEqual(expected);
      }),
    );
  });

  it("is nothing while no baseline or no measurement is there", () => {
    expect(listChangedConfiguration({ fileBaseline: null, measurements: [] })).toEqual([]);
    const baseline = toFileBaseline([], 1);
    expect(listChangedConfiguration({ fileBaseline: baseline, measurements: null })).toEqual([]);
  });
});
