import fc from "fast-check";
import type { RolloutAction } from "@fairlead/protocol";
import { expect, test } from "vitest";
import { applyRolloutAction } from "./actions.ts";
import { createFleet, newRelease, toDevice, toSpec } from "./testing/fleet.ts";

const names = ["a", "b", "c", "d"];
const name = fc.constantFrom(...names);
const rollout = fc.constantFrom("older" as const, "newer" as const);
const event = fc.oneof(
  fc.record({ kind: fc.constant("advance" as const), ms: fc.constantFrom(0, 1_000, 70_000) }),
  fc.record({ kind: fc.constant("online" as const), name, online: fc.boolean() }),
  fc.record({
    kind: fc.constant("answer" as const),
    name,
    state: fc.constantFrom("succeeded" as const, "succeeded" as const, "failed" as const, "rolled_back" as const),
  }),
  fc.record({
    kind: fc.constant("action" as const),
    rollout,
    action: fc.constantFrom<RolloutAction>("undo", "undo", "abort", "retry", "pause", "resume"),
  }),
);
const spec = (selector: string, isShadow: boolean) =>
  toSpec({
    selector,
    wholeFleet: selector === "",
    deviceSoakMs: 0,
    stages: [
      {
        ...{ name: "canary", target: { kind: "percent", percent: 30 }, soakMs: 0, timeoutMs: 60_000 },
        shadow: isShadow ? {} : null,
      },
      { name: "all", target: { kind: "percent", percent: 100 }, soakMs: 0, timeoutMs: 60_000 },
    ],
  });

/** What the older of two may ask of a device, the newer one can take from it; never the other way round for ever. */
test("two rollouts of one slot come to rest after any history, whether they roll out the same release or not", () => {
  fc.assert(
    fc.property(
      fc.array(event, { maxLength: 30 }),
      fc.constantFrom(newRelease, { releaseId: "rel-newer", version: "2.0.0" }),
      fc.boolean(),
      (...[events, release, isShadow]) => {
        const fleet = new Map(
          names.map((device, index) => [device, toDevice(device, { labels: index === 0 ? {} : { role: "field" } })]),
        );
        const older = createFleet(spec("", false), [], { fleet });
        for (let round = 0; round < 6; round += 1) {
          older.settle();
          older.answerAll();
          older.advance(1_000);
        }
        expect(older.record.state).toBe("succeeded");
        const newer = createFleet(spec("role=field", isShadow), [], { fleet, rolloutId: "ro-2", release });
        const both = { older, newer };
        const claim = (device: string, claimedBy: string | null): void => {
          if (fleet.get(device)?.labels["role"] === "field") older.change(device, { claimedBy });
        };
        const settle = (): void => {
          const isLive = ["ready", "running", "paused", "rolling_back", "succeeded"].includes(newer.record.state);
          for (const device of names) claim(device, isLive ? "ro-2" : null);
          const ofOlder = older.settle();
          for (const device of names) claim(device, null);
          const decisions = [...ofOlder, ...newer.settle()];
          if (decisions.length === 0) return;
          expect((rounds += 1), JSON.stringify(decisions)).toBeLessThan(8);
          settle();
        };
        let rounds = 0;
        settle();
        for (const next of events) {
          if (next.kind === "advance") for (const one of [older, newer]) one.advance(next.ms);
          if (next.kind === "online") older.change(next.name, { online: next.online });
          if (next.kind === "answer")
            (fleet.get(next.name)?.desired?.rolloutId === "ro-2" ? newer : older).answer(next.name, next.state);
          if (next.kind === "action") {
            const one = both[next.rollout];
            try {
              one.record = applyRolloutAction(one.record, { ...next, actor: "ada", reason: "" }, one.nowMs);
            } catch (error) {
              expect(error).toMatchObject({ code: "transition_refused" });
            }
          }
          rounds = 0;
          settle();
        }
      },
    ),
    { numRuns: 300 },
  );
});
