import type { Action, DeviceObservation, RemediationCase } from "./case.ts";
import { toOutcomes } from "./outcomes.ts";
import type { RemediationConfig, Rule } from "./rules.ts";
import { toSymptoms, type Symptom } from "./symptoms.ts";
import { workCase } from "./work-case.ts";

export interface DecideOptions {
  readonly observations: readonly DeviceObservation[];
  /** Every case that has not ended, and of the ended ones at least those of the longest cool-down or still holding. */
  readonly cases: readonly RemediationCase[];
  readonly config: RemediationConfig;
  readonly nowMs: number;
}

/** How many devices remediation may hold at once: the share rounded down, but at least one. */
export function toFleetLimit(devices: number, maxFleetRatio: number): number {
  return Math.max(1, Math.floor(devices * maxFleetRatio + 1e-9));
}

function isActive({ endedAtMs }: RemediationCase): boolean {
  return endedAtMs === null;
}

/**
 * What to do next, in order. Total, deterministic, idempotent. Cases are opened in one call and worked on in the next:
 * apply, execute, and call again until the answer is empty.
 */
export function decide(options: DecideOptions): readonly Action[] {
  const { observations, cases, config, nowMs } = options;
  const seenBy = new Map(observations.map((seen) => [seen.device, seen]));
  const worked = cases.flatMap((current): readonly Action[] => {
    const seen = seenBy.get(current.device);
    const rule = config.rules.find(({ name }) => name === current.rule);
    if (!isActive(current)) return seen === undefined ? [] : finish(current, { rule, seen, options });
    const gone = seen === undefined || isGone(seen);
    if (gone || rule === undefined) return abandon(current, gone ? "device_gone" : "rule_gone");
    return workCase({ current, rule, seen, config, nowMs, told: isToldBeside(current, cases) });
  });
  return [...worked, ...openCases(options)];
}

function isToldBeside(current: RemediationCase, cases: readonly RemediationCase[]): boolean {
  return cases.some(
    (other) =>
      other.remediationId !== current.remediationId &&
      other.alert === "firing" &&
      other.device === current.device &&
      other.rule === current.rule &&
      other.evidence["slot"] === current.evidence["slot"],
  );
}

function abandon(current: RemediationCase, code: string): readonly Action[] {
  const { remediationId, device } = current;
  const reason = `case of ${device} ends: ${code.replaceAll("_", " ")}`;
  return [{ kind: "close-case", remediationId, device, state: "failed", code, reason, numbers: {} }];
}

function isGone({ lifecycle }: DeviceObservation): boolean {
  // One that waits to be enrolled anew has a new key then, and what its old one proved is over.
  return lifecycle === "pending" || lifecycle.startsWith("decommission");
}

interface Ended {
  readonly rule: Rule | undefined;
  readonly seen: DeviceObservation;
  readonly options: DecideOptions;
}

/** What is left of an ended case: answers that were still on their way, and what it holds. */
function finish(current: RemediationCase, { rule, seen, options }: Ended): readonly Action[] {
  const { nowMs } = options;
  const outcomes = rule === undefined ? [] : toOutcomes({ current, rule, seen, nowMs });
  return [...outcomes, ...letGo(current, seen, options)];
}

/** An ended case lets its quarantine and its alert go once nothing is wrong any more, however long that took. */
function letGo(current: RemediationCase, seen: DeviceObservation, options: DecideOptions): readonly Action[] {
  if (current.state === "suppressed" && current.alert === "none") return tellOfSuppressed(current, seen, options);
  if (current.quarantine !== "held" && current.alert !== "firing") return [];
  const symptoms = toSymptoms(seen, options);
  const { remediationId, device } = current;
  const because = { code: "recovered", reason: `${device} shows that it is well again`, numbers: {} };
  const busy = options.cases.some(
    (other) => isActive(other) && other.device === device && other.symptom === "integrity-failed",
  );
  const actions: Action[] = [];
  // Only verified evidence opens the door; unknown and stale do not.
  if (current.quarantine === "held" && seen.integrity.state === "verified" && !busy && !seen.doubted)
    actions.push({
      ...{ kind: "release-quarantine", remediationId, device, ...because },
      // The case's hold ends all the same, but nobody is told that it let the device out.
      ...(seen.lifecycle === "quarantined" ? {} : { code: "out_already", reason: `${device} is out of quarantine` }),
    });
  // A device that was let go proves nothing any more, and nobody waits for it.
  if (current.alert === "firing" && isGone(seen))
    actions.push({
      kind: "resolve-alert",
      remediationId,
      device,
      code: "device_gone",
      reason: `${device} was let go`,
      numbers: {},
    });
  const well = !isGone(seen) && (current.symptom !== "integrity-failed" || seen.integrity.state === "verified");
  if (current.alert === "firing" && well && !symptoms.some(({ kind }) => kind === current.symptom))
    actions.push({ kind: "resolve-alert", remediationId, device, ...because });
  return actions;
}

/** Where a brake keeps remediation from acting, a person must know: nobody else will. */
function tellOfSuppressed(
  { remediationId, device, symptom, rule, code, reason }: RemediationCase,
  seen: DeviceObservation,
  options: DecideOptions,
): readonly Action[] {
  const told = options.cases.some(
    (other) => other.device === device && other.rule === rule && other.alert === "firing",
  );
  if (told || !toSymptoms(seen, options).some(({ kind }) => kind === symptom)) return [];
  return [{ kind: "fire-alert", remediationId, device, alertKind: rule, code, reason, numbers: {} }];
}

function openCases({ observations, cases, config, nowMs }: DecideOptions): readonly Action[] {
  const fleet = observations.filter(({ lifecycle }) => lifecycle === "enrolled" || lifecycle === "quarantined");
  const limit = toFleetLimit(fleet.length, config.maxFleetRatio);
  const isLimited = (name: string): boolean => config.rules.some((rule) => rule.name === name && rule.limited);
  // A device in quarantine is out of service whoever put it there, so it counts.
  const held = new Set(fleet.filter(({ lifecycle }) => lifecycle === "quarantined").map(({ device }) => device));
  for (const current of cases) if (isActive(current) && isLimited(current.rule)) held.add(current.device);
  const actions: Action[] = [];
  for (const seen of [...fleet].sort((a, b) => (a.device < b.device ? -1 : 1))) {
    const own = cases.filter(({ device }) => device === seen.device);
    const active = own.filter(isActive);
    let touching = active.some(({ rule }) => isLimited(rule));
    for (const symptom of toSymptoms(seen, { config, nowMs })) {
      const rule = config.rules.find(
        ({ symptom: kind, subject }) => kind === symptom.kind && subject === symptom.subject,
      );
      // One case at a time may touch a device; another symptom waits for its turn.
      if (rule === undefined || (rule.limited && touching) || active.some((current) => current.rule === rule.name))
        continue;
      const blocked = toBrake({ rule, own, held, limit, device: seen.device, nowMs });
      const about = { device: seen.device, rule: rule.name, symptom: symptom.kind, evidence: symptom.evidence };
      if (blocked === null) {
        actions.push({ kind: "open-case", ...about, ...toBecause(symptom) });
        if (rule.limited) {
          held.add(seen.device);
          touching = true;
        }
        continue;
      }
      const latest = own
        .filter((current) => current.rule === rule.name)
        .sort(byAge)
        .at(-1);
      if (latest?.state === "suppressed" && latest.code === blocked.code) continue;
      actions.push({ kind: "suppress-case", ...about, ...blocked, reason: `${symptom.reason}; ${blocked.reason}` });
    }
  }
  return actions;
}

function byAge(left: RemediationCase, right: RemediationCase): number {
  return left.detectedAtMs - right.detectedAtMs || (left.remediationId < right.remediationId ? -1 : 1);
}

function toBecause({ code, reason, numbers }: Symptom): Pick<Symptom, "code" | "reason" | "numbers"> {
  return { code, reason, numbers };
}

interface BrakeOptions {
  readonly rule: Rule;
  /** The device's cases. */
  readonly own: readonly RemediationCase[];
  readonly held: ReadonlySet<string>;
  readonly limit: number;
  readonly device: string;
  readonly nowMs: number;
}

function toBrake({
  rule,
  own,
  held,
  limit,
  device,
  nowMs,
}: BrakeOptions): Pick<Symptom, "code" | "reason" | "numbers"> | null {
  const endedAtMs = own
    .filter((current) => current.rule === rule.name && current.state !== "suppressed")
    .reduce((latest, current) => Math.max(latest, current.endedAtMs ?? 0), 0);
  if (endedAtMs > 0 && nowMs - endedAtMs < rule.coolDownMs)
    return {
      code: "cool_down",
      reason: `rule ${rule.name} rests for ${rule.coolDownMs / 1_000} s after its last case`,
      numbers: { coolDownMs: rule.coolDownMs, endedAtMs },
    };
  if (rule.limited && !held.has(device) && held.size >= limit)
    return {
      code: "blast_radius",
      reason: `${held.size} devices are held already, at most ${limit} may be`,
      numbers: { held: held.size, limit },
    };
  return null;
}
