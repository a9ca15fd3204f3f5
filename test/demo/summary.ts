import type { RolloutStatus } from "@fairlead/protocol";
import { eventually } from "../support/eventually.ts";
import type { Claims } from "./claims.ts";
import type { DemoFleet } from "./fleet.ts";
import { claimLine, narrator, toTable } from "./narrator.ts";
import type { HealTimes } from "./story.ts";

const measured = ["1.0.0", "1.1.0", "after rollback", "healed"];

/** Claims that only the counted requests can settle; the device whose file was bad refused on purpose while it was. */
export function checkRequests(fleet: DemoFleet, claims: Claims, victim: string): void {
  const counted = fleet.phases.flatMap((phase) =>
    [...fleet.loads].map(([device, load]) => ({ device, phase, ...load.tally(phase) })),
  );
  const unasked = counted.filter(({ phase, requests }) => requests === 0 && phase !== "warm-up");
  const failed = counted.filter(
    ({ device, phase, failures }) => failures > 0 && !(device === victim && phase === "tampered"),
  );
  for (const { device, phase, requests } of unasked)
    narrator.say(`${device} was sent ${requests} requests in "${phase}"`);
  for (const { device, phase, failures, reasons } of failed)
    narrator.say(`${device} failed ${failures} requests in "${phase}": ${reasons[0] ?? ""}`);
  claims.check(
    "every device was asked in every phase, and not one request failed but where a file was bad",
    counted.length > 0 && unasked.length === 0 && failed.length === 0,
  );
  const tallies = [...fleet.loads.values()];
  const accuracyOf = (phase: string) =>
    tallies.map((load) => load.tally(phase)).map((tally) => tally.correct / tally.requests);
  claims.check(
    "1.1.0 reads more digits right than 1.0.0 on every device",
    accuracyOf("1.1.0").every((value, index) => value > (accuracyOf("1.0.0")[index] ?? 1)),
  );
  claims.check(
    "every device reads at least 94 % right after the rollback and after the healing",
    [...accuracyOf("after rollback"), ...accuracyOf("healed")].every((value) => value >= 0.94),
  );
}

export interface Energy {
  readonly joules: string;
  readonly method: string;
}

/**
 * Joules per inference as each device last reported them while it was asked. A window may lack a reading, and says why; one of
 * the next has it, or the device gives its last reason.
 */
export async function readEnergy(fleet: DemoFleet, claims: Claims): Promise<ReadonlyMap<string, Energy>> {
  const energies = new Map<string, Energy>();
  let known = 0;
  for (const { name } of fleet.devices) {
    let last: Energy = { joules: "no window with requests", method: "none" };
    const read = eventually(`${name} says what an inference costs it`, async () => {
      const window = (await fleet.plane.device(name)).lastWindow;
      const slot = window?.slots.find((one) => one.slot === "reader" && one.requests > 0);
      if (window === null || slot === undefined) return false;
      const { value, ...rest } = slot.joulesPerInference;
      last = {
        joules: value?.toPrecision(3) ?? ("reason" in rest ? rest.reason : "none"),
        method: window.energy.method,
      };
      return value !== null && value > 0;
    });
    known += await read.then(
      () => 1,
      () => 0,
    );
    energies.set(name, last);
  }
  claims.check("every device says what an inference costs it in joules, and how it knows", known === energies.size);
  return energies;
}

export interface Ending {
  readonly stopped: RolloutStatus;
  readonly heal: HealTimes;
  readonly energies: ReadonlyMap<string, Energy>;
}

export function printSummary(fleet: DemoFleet, { stopped, heal, energies }: Ending): void {
  const rows = [
    ["device", ...measured.map((phase) => `accuracy ${phase}`), "requests", "failed", "J/inference", "method"],
  ];
  for (const [name, load] of fleet.loads) {
    const phases = fleet.phases.map((phase) => load.tally(phase));
    rows.push([
      name,
      ...measured.map((phase) => toPercent(load.tally(phase).correct, load.tally(phase).requests)),
      String(phases.reduce((sum, tally) => sum + tally.requests, 0)),
      String(phases.reduce((sum, tally) => sum + tally.failures, 0)),
      energies.get(name)?.joules ?? "none",
      energies.get(name)?.method ?? "none",
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
