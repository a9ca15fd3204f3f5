import fc from "fast-check";
import { expect, test } from "vitest";
import { toFleetLimit } from "./decide.ts";
import { defaultRemediationConfig } from "./rules.ts";
import { createPlane, failing, newBuild, oldBuild, toObservation } from "./testing/plane.ts";

const names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
const device = fc.constantFrom(...names);
const event = fc.oneof(
  fc.record({ kind: fc.constant("advance" as const), ms: fc.constantFrom(0, 1_000, 15_000, 120_000, 400_000) }),
  fc.record({ kind: fc.constant("online" as const), device, online: fc.boolean() }),
  fc.record({
    kind: fc.constant("integrity" as const),
    device,
    state: fc.constantFrom("verified" as const, "failed" as const, "unknown" as const, "stale" as const),
    file: fc.constantFrom("model" as const, "agent" as const),
  }),
  fc.record({
    kind: fc.constant("answer" as const),
    device,
    outcome: fc.constantFrom("done" as const, "failed" as const, "expired" as const),
  }),
  fc.record({ kind: fc.constant("crash" as const), device, count: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ kind: fc.constant("reverted" as const), device }),
);

test("any history settles, touches a device once at a time and never more than the share, and ends or waits with a reason", () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 50 }), (events) => {
      const plane = createPlane(
        names.map((name) =>
          toObservation(name, {
            slots: [
              {
                slot: "reader",
                serving: true,
                activeBuildDigest: newBuild,
                previousBuildDigest: oldBuild,
                confirmed: true,
                missedPlacement: null,
              },
            ],
          }),
        ),
      );
      const limit = toFleetLimit(names.length, defaultRemediationConfig.maxFleetRatio);
      const limited = new Set(defaultRemediationConfig.rules.flatMap((rule) => (rule.limited ? [rule.name] : [])));
      const ended = new Map<string, string>();
      for (const next of events) {
        if (next.kind === "advance") plane.advance(next.ms);
        if (next.kind === "online") plane.change(next.device, { online: next.online, lastSeenMs: plane.nowMs });
        if (next.kind === "integrity") {
          const file = next.file === "model" ? failing() : failing({ kind: "agent", slot: null });
          const { state } = next;
          plane.change(next.device, {
            integrity: { state, evidenceAtMs: plane.nowMs, failing: state === "failed" ? [file] : [] },
          });
        }
        if (next.kind === "answer") plane.answer(next.device, next.outcome);
        if (next.kind === "crash") {
          const crash = { tsMs: plane.nowMs, slot: "reader", buildDigest: newBuild };
          const { crashes } = plane.seen(next.device);
          plane.change(next.device, { crashes: [...crashes, ...Array.from({ length: next.count }, () => crash)] });
        }
        if (next.kind === "reverted") {
          const slots = plane.seen(next.device).slots.map((slot) => ({ ...slot, activeBuildDigest: oldBuild }));
          plane.change(next.device, { slots });
        }
        const actions = plane.settle();
        expect(plane.next()).toEqual([]);
        for (const action of actions) expect([action.code, action.reason]).not.toContain("");
        const touching = plane.cases.filter(({ endedAtMs, rule }) => endedAtMs === null && limited.has(rule));
        const held = new Set(touching.map((current) => current.device));
        expect(touching).toHaveLength(held.size);
        for (const seen of plane.fleet) if (seen.lifecycle === "quarantined") held.add(seen.device);
        expect(held.size).toBeLessThanOrEqual(limit);
        for (const current of plane.cases) {
          expect(current.code).not.toBe("");
          const before = ended.get(current.remediationId);
          if (before !== undefined) expect(current.state).toBe(before);
          if (current.endedAtMs !== null) ended.set(current.remediationId, current.state);
          if (current.endedAtMs === null) expect(["executing", "verifying"]).toContain(current.state);
          const alerts = plane.cases.filter((c) => c.device === current.device && c.rule === current.rule);
          if (current.state === "failed" && current.alert === "none")
            expect(alerts.some(({ alert }) => alert !== "none")).toBe(true);
          expect(alerts.filter(({ alert }) => alert === "firing").length).toBeLessThanOrEqual(1);
        }
        // Whether a case is over or not, none of its steps is left without an end for long.
        for (const { actions: steps } of plane.cases)
          for (const step of steps) if (step.state === "issued") expect(plane.nowMs - step.atMs).toBeLessThan(600_000);
        // Nobody stays locked in without a case that says why.
        for (const seen of plane.fleet.filter(({ lifecycle }) => lifecycle === "quarantined"))
          expect(plane.cases.some((c) => c.device === seen.device && c.quarantine === "held")).toBe(true);
      }
    }),
    { numRuns: 300 },
  );
});
