import type { EnergySource } from "@fairlead/energy";
import type { Reading } from "@fairlead/protocol";
import { listNode, readNode, readNumber, toMissing } from "../root.ts";

const base = "sys/class/powercap";

export interface RaplZone {
  readonly path: string;
  readonly source: Extract<EnergySource, { kind: "counter" }>;
}

/**
 * The one zone to count: `psys` (the whole board) before `package-0`. Zones overlap, so exactly one is used. Reading
 * the counter needs root on most kernels; a zone that cannot be read is the reason, not a zero.
 */
export async function findRaplZone(root: string): Promise<RaplZone | { readonly reason: string }> {
  const zones: { name: string; path: string }[] = [];
  for (const entry of await listNode(root, base)) {
    if (!/^intel-rapl:\d+$/u.test(entry)) continue;
    const name = await readNode(root, `${base}/${entry}/name`);
    if (name.kind === "text") zones.push({ name: name.text, path: `${base}/${entry}` });
  }
  let reason = "absent: powercap zones psys and package";
  for (const { name, path } of zones.toSorted((a, b) => toRank(a.name) - toRank(b.name))) {
    if (toRank(name) > 1) continue;
    const counter = await readNumber(root, `${path}/energy_uj`);
    const range = await readNumber(root, `${path}/max_energy_range_uj`);
    if (counter.value !== null) {
      const scope = name === "psys" ? "board" : "package";
      return { path, source: { kind: "counter", source: `rapl:${name}`, scope, maxRangeUj: range.value } };
    }
    reason = counter.reason;
  }
  return { reason };
}

/** Counter of the zone in microjoules. */
export async function readRapl(root: string, zone: RaplZone): Promise<Reading> {
  const name = await readNode(root, `${zone.path}/name`);
  if (name.kind === "none") return toMissing(name.reason);
  if (`rapl:${name.text}` !== zone.source.source) return toMissing(`the zone is now ${name.text}`);
  return readNumber(root, `${zone.path}/energy_uj`);
}

function toRank(name: string): number {
  if (name === "psys") return 0;
  return /^package-\d+$/u.test(name) ? 1 : 2;
}
