/** Provider names as profiles write them, and as sessions are asked for them. */
const names: ReadonlyMap<string, string> = new Map([
  ["CPUExecutionProvider", "cpu"],
  ["WebGpuExecutionProvider", "webgpu"],
  ["CUDAExecutionProvider", "cuda"],
  ["TensorrtExecutionProvider", "tensorrt"],
  ["CoreMLExecutionProvider", "coreml"],
  ["DmlExecutionProvider", "dml"],
  ["QNNExecutionProvider", "qnn"],
]);

/** A day: no node of a warm-up takes longer, and sums stay finite. */
const maxNodeUs = 86_400_000_000;

interface NodeEvent {
  readonly provider: string;
  readonly durationUs: number;
}

function toNodeEvent(event: unknown): NodeEvent | null {
  if (typeof event !== "object" || event === null) return null;
  const { cat, dur, args } = event as { cat?: unknown; dur?: unknown; args?: unknown };
  if (cat !== "Node" || typeof dur !== "number" || !(dur >= 0 && dur <= maxNodeUs)) return null;
  const provider = typeof args === "object" && args !== null ? (args as { provider?: unknown }).provider : undefined;
  return typeof provider === "string" && provider !== "" ? { provider, durationUs: dur } : null;
}

/**
 * Share of node time per provider from the events of a profile (Chrome trace format, an array; a node's event has
 * `args.provider` and `dur` in microseconds). A provider that no node names is absent. Null when no node was timed.
 * Nodes that took less than a microsecond still prove where they ran, so each counts one microsecond at least.
 */
export function toProviderShares(events: unknown): Readonly<Record<string, number>> | null {
  if (!Array.isArray(events)) return null;
  const times = new Map<string, number>();
  for (const event of events) {
    const node = toNodeEvent(event);
    if (node === null) continue;
    const name = names.get(node.provider) ?? node.provider.slice(0, 64);
    times.set(name, (times.get(name) ?? 0) + Math.max(1, node.durationUs));
  }
  const total = [...times.values()].reduce((sum, time) => sum + time, 0);
  if (total === 0) return null;
  return Object.fromEntries([...times].map(([name, time]) => [name, time / total]));
}
