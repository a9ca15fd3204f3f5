import { rolloutStatusSchema, type RolloutStatus } from "@fairlead/protocol";
import { expect, it } from "vitest";
import { renderStatus } from "./render-status.ts";
import { toRolloutSpec } from "./to-spec.ts";

const t0 = 1_700_000_000_000;
const counts = { planned: 0, offered: 0, working: 0, succeeded: 0, failed: 0, unknown: 0 };

function makeStatus(changes: Partial<RolloutStatus> = {}): RolloutStatus {
  return rolloutStatusSchema.parse({
    rolloutId: "ro-01hzzzzzzzzzzzzzzzzzzzzzzz",
    spec: toRolloutSpec({
      ...{ model: "digit-reader", version: "1.2.0", slot: "reader", selector: "site=lab" },
      ...{ stages: "canary=role=canary,all=100%", gate: ["confidence>=0.6"] },
    }),
    state: "running",
    pauseReason: null,
    code: "stage_running",
    reason: "",
    createdAtMs: t0,
    createdBy: "admin:x",
    updatedAtMs: t0,
    etag: '"1"',
    stages: [
      {
        ...{ name: "canary", state: "soaking", startedAtMs: t0, soakingSinceMs: t0 + 10_000, endedAtMs: null },
        counts: { ...counts, planned: 2, offered: 2, succeeded: 1, working: 1 },
        verdicts: [
          {
            ...{ gate: "confidence", kind: "fail", code: "below", why: "mean confidence is too low" },
            ...{ value: 0.251_234, threshold: 0.6, control: null, samples: 120 },
          },
        ],
      },
      {
        ...{ name: "all", state: "scheduled", startedAtMs: null, soakingSinceMs: null, endedAtMs: null },
        counts: { ...counts, planned: 6 },
        verdicts: [],
      },
    ],
    devices: [],
    ...changes,
  });
}

const plain = { nowMs: t0 + 25_000, paint: (_: string, text: string) => text };

it("shows stages, counts, time and gates with value against threshold", () => {
  expect(renderStatus(makeStatus(), plain).join("\n")).toBe(
    [
      "ro-01hzzzzzzzzzzzzzzzzzzzzzzz  digit-reader 1.2.0 → slot reader, site=lab",
      "running",
      "├─ ◑ canary (role=canary)  soaking  1/2 succeeded, 1 working  soaking for 15s",
      "│     ✖ confidence  0.2512 against 0.6, n=120: mean confidence is too low",
      "└─ ○ all (100%)  scheduled  0/6 succeeded",
    ].join("\n"),
  );
});

it("says why it is paused and which devices are in trouble, without letting them steer the terminal", () => {
  const text = renderStatus(
    makeStatus({
      ...{ state: "paused", pauseReason: "gate_failed", reason: "confidence fell" },
      devices: [
        {
          device: "lab-1",
          stage: "canary",
          state: "failed",
          code: "self_test",
          reason: "bad\u001b[2J",
          previousVersion: null,
        },
        { device: "lab-2", stage: "canary", state: "succeeded", code: "ok", reason: null, previousVersion: null },
      ],
    }),
    plain,
  ).join("\n");
  expect(text).toContain("paused (gate_failed)  confidence fell");
  expect(text).toContain("! lab-1  failed  bad\\u001b[2J");
  expect(text).not.toContain("lab-2");
});
