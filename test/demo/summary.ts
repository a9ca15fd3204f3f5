import type { RolloutStatus } from "@fairlead/protocol";
import type { Claims } from "./claims.ts";
import type { DemoFleet } from "./fleet.ts";
import { claimLine, narrator, toTable } from "./narrator.ts";
import type { HealTimes } from "./story.ts";

const measured = ["1.0.0", "1.1.0", "after rollback", "healed"];
const rollouts = ["1.1.0 rollout", "1.2.0 rollout"];

/** Claims that only the counted requests can settle. */
export function checkRequests(fleet: DemoFleet, claims: Claims): void {
  const tallies = [...fleet.loads.values()];
  const accuracyOf = (phase: string) =>
    tallies.map((load) => load.tally(phase)).map((tally) => tally.correct / tally.requests);
  const failures = [...measured, ...rollouts].flatMap((phase) => tallies.map((load) => load.tally(phase).failures));
  claims.check(
    "not one request failed during the rollouts and the rollback",
    failures.every((count) => count === 0),
  );
  claims.check(
    "1.1.0 reads more digits right than 1.0.0 on every device",
    accuracyOf("1.1.0").every((value, index) => value > (accuracyOf("1.0.0")[index] ?? 1)),
  );
  claims.check(
    "every device reads at least 94 % right after the rollback and after the healing",
    [...accuracyOf("after rollback"), ...accuracyOf("healed")].every((value) => value >= 0.94),
  );
}

export async function printSummary(fleet: DemoFleet, stopped: RolloutStatus, heal: HealTimes): Promise<void> {
  const rows = [
    ["device", ...measured.map((phase) => `accuracy ${phase}`), "requests", "failed", "J/inference", "method"],
  ];
  for (const device of fleet.devices) {
    const load = fleet.loads.get(device.name);
    if (load === undefined) continue;
    const phases = [...measured, ...rollouts, "tampered"].map((phase) => load.tally(phase));
    const window = (await fleet.plane.device(device.name)).lastWindow;
    const joules = window?.slots.find((slot) => slot.slot === "reader")?.joulesPerInference;
    rows.push([
      device.name,
      ...measured.map((phase) => toPercent(load.tally(phase).correct, load.tally(phase).requests)),
      String(phases.reduce((sum, tally) => sum + tally.requests, 0)),
      String(phases.reduce((sum, tally) => sum + tally.failures, 0)),
      joules?.value?.toPrecision(3) ?? (joules !== undefined && "reason" in joules ? joules.reason : "no window"),
      window?.energy.method ?? "none",
    ]);
  }
  narrator.chapter("what happened");
  process.stdout.write(`${toTable(rows)}\n\n`);
  const refused = fleet.loads.get(heal.device)?.tally("tampered");
  const canary = stopped.stages[0];
  const stopMs = canary?.startedAtMs && canary.endedAtMs ? canary.endedAtMs - canary.startedAtMs : undefined;
  narrator.say(
    `1.2.0 was stopped ${stopMs ?? "?"} ms after its first offer, on ${canary?.counts.offered ?? "?"} devices`,
  );
  narrator.say(
    `${heal.device}: detected after ${heal.detectedMs} ms, quarantined after ${heal.quarantinedMs} ms, healed after ${heal.healedMs} ms`,
  );
  narrator.say(
    `while its file was bad ${heal.device} refused ${refused?.failures ?? 0} of ${refused?.requests ?? 0} requests, on purpose`,
  );
}

export function printClaims(claims: Claims): void {
  process.stdout.write(`\n${claims.all.map((claim) => claimLine(claim.held, claim.text)).join("\n")}\n`);
}

function toPercent(part: number, whole: number): string {
  return whole === 0 ? "no requests" : `${((100 * part) / whole).toFixed(1)} %`;
}
