import { rolloutStatusSchema, type RolloutStatus } from "@fairlead/protocol";
import { toRolloutSpec } from "../to-spec.ts";

/** When the status was made, in milliseconds since 1970. */
export const t0 = 1_700_000_000_000;
const counts = { planned: 0, offered: 0, working: 0, succeeded: 0, failed: 0, unknown: 0 };

/** A rollout of two stages whose canary soaks and fails its gate. */
export function makeStatus(changes: Partial<RolloutStatus> = {}): RolloutStatus {
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
