import type { Reading } from "@fairlead/protocol";
import { readNode, toMissing } from "../root.ts";

interface CpuTimes {
  readonly busy: number;
  readonly total: number;
}

/** Returns a sampler of the share of core time 0..1 that was busy since its own last call (proc(5), /proc/stat). */
export function createCpuReader(root: string): () => Promise<Reading> {
  let prev: CpuTimes | null = null;
  return async () => {
    const node = await readNode(root, "proc/stat");
    if (node.kind === "none") return toMissing(node.reason);
    const times = parseCpuTimes(node.text);
    if (times === null) return toMissing("no cpu line in proc/stat");
    const last = prev;
    prev = times;
    if (last === null) return toMissing("first sample of a counter");
    const total = times.total - last.total;
    const busy = times.busy - last.busy;
    if (total < 0 || busy < 0) return toMissing("the counter was reset");
    if (total === 0) return toMissing("no time passed between two samples");
    return { value: Math.min(busy / total, 1) };
  };
}

/** user nice system idle iowait irq softirq steal; guest times are already in user and nice. */
function parseCpuTimes(text: string): CpuTimes | null {
  const line = /^cpu\s+(.+)$/mu.exec(text)?.[1];
  if (line === undefined) return null;
  const fields = line.trim().split(/\s+/u).slice(0, 8).map(Number);
  if (fields.length < 4 || fields.some((field) => !Number.isFinite(field))) return null;
  const total = fields.reduce((sum, field) => sum + field, 0);
  return { busy: total - (fields[3] ?? 0) - (fields[4] ?? 0), total };
}
