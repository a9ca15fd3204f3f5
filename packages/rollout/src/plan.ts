import { isSelected, parseSelector, type Labels, type RolloutSpec } from "@fairlead/protocol";

export interface PlanCandidate {
  readonly device: string;
  readonly labels: Labels;
}

export interface PlanOptions {
  readonly rolloutId: string;
  readonly spec: RolloutSpec;
  /** Devices that may take part now and have no stage yet. */
  readonly candidates: readonly PlanCandidate[];
  /** Stage index of each device that has one already; it is never changed. */
  readonly assigned: ReadonlyMap<string, number>;
  /** The first stage that still takes devices; may be beyond the last, then newcomers join the last. */
  readonly openFrom: number;
}

/**
 * Stable 32-bit order of a device within a rollout: FNV-1a (64-bit parameters are not needed, this is no security
 * boundary) with the finalizer of MurmurHash3, so that devices named `a-1`, `a-2`, … do not stay neighbours.
 */
export function toPlanOrder(rolloutId: string, device: string): number {
  const text = `${rolloutId}/${device}`;
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Cumulative number of devices that a percent stage reaches: rounded up, at least one of a fleet that has any. */
export function toQuota(percent: number, devices: number): number {
  if (devices === 0) return 0;
  // The subtrahend keeps binary fractions (33.3 % of 1000) from asking for a device too many.
  return Math.min(devices, Math.max(1, Math.ceil((percent * devices) / 100 - 1e-9)));
}

/** May a stage take a device with these labels? One that only selector stages pass by is left without for ever. */
export function hasStageFor({ stages }: Pick<RolloutSpec, "stages">, labels: Labels): boolean {
  return stages.some(({ target }) => target.kind === "percent" || isSelected(parseSelector(target.selector), labels));
}

/**
 * Gives each candidate a stage. A device that no stage wants stays without one. Devices of the control selector come
 * in the last stage only, and so does a newcomer whose own stage is closed.
 */
export function planStages({
  rolloutId,
  spec,
  candidates,
  assigned,
  openFrom,
}: PlanOptions): ReadonlyMap<string, number> {
  const control = spec.control === null ? null : parseSelector(spec.control);
  const order = new Map(candidates.map(({ device }) => [device, toPlanOrder(rolloutId, device)]));
  const rank = (candidate: PlanCandidate): number => order.get(candidate.device) ?? 0;
  let open = [...candidates].sort((a, b) => rank(a) - rank(b) || (a.device < b.device ? -1 : 1));
  const total = assigned.size + candidates.length;
  const last = spec.stages.length - 1;
  const planned = new Map<string, number>();
  const wanted = new Set<string>();

  const take = (devices: readonly PlanCandidate[], stageIndex: number): void => {
    for (const { device } of devices) planned.set(device, stageIndex);
    open = open.filter(({ device }) => !planned.has(device));
  };

  spec.stages.forEach((stage, index) => {
    const { target } = stage;
    const selector = target.kind === "selector" ? parseSelector(target.selector) : [];
    const matching = open.filter(({ labels }) => isSelected(selector, labels));
    if (index === last) {
      const whole = target.kind === "selector" || target.percent === 100;
      for (const { device } of matching) if (whole) wanted.add(device);
      take(
        open.filter(({ device }) => wanted.has(device)),
        last,
      );
    }
    if (target.kind === "selector") for (const { device } of matching) wanted.add(device);
    if (index < openFrom || index === last) return;
    const free = matching.filter(({ labels }) => control === null || !isSelected(control, labels));
    if (target.kind === "selector") return take(free, index);
    const reached =
      [...assigned.values()].filter((stageIndex) => stageIndex <= index).length +
      [...planned.values()].filter((stageIndex) => stageIndex <= index).length;
    take(free.slice(0, Math.max(0, toQuota(target.percent, total) - reached)), index);
  });
  return planned;
}
