import type { Reading } from "@fairlead/protocol";
import { listNode, readNumber, toMissing } from "../root.ts";

const base = "sys/devices/system/cpu";
const files = ["core_throttle_count", "package_throttle_count"];

/** Returns a sampler: 1 when a core or the package was throttled since its last call, 0 when not (x86 thermal_throttle). */
export function createThrottleCountReader(root: string): () => Promise<Reading> {
  let prev: number | null = null;
  return async () => {
    const total = await readTotal(root);
    if (total.value === null) return total;
    const last = prev;
    prev = total.value;
    if (last === null) return toMissing("first sample of a counter");
    if (total.value < last) return toMissing("the counter was reset");
    return { value: total.value > last ? 1 : 0 };
  };
}

async function readTotal(root: string): Promise<Reading> {
  let total: number | null = null;
  let reason = "absent: cpu thermal_throttle";
  for (const cpu of await listNode(root, base)) {
    if (!/^cpu\d+$/u.test(cpu)) continue;
    for (const file of files) {
      const count = await readNumber(root, `${base}/${cpu}/thermal_throttle/${file}`);
      if (count.value !== null) total = (total ?? 0) + count.value;
      else if (!count.reason.startsWith("absent")) reason = count.reason;
    }
  }
  return total === null ? toMissing(reason) : { value: total };
}
