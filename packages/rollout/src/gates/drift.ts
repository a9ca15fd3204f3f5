import type { Verdict } from "@fairlead/protocol";
import { judge, readPair, toGateName, type GateContext, type GateOf } from "./gate.ts";

function toShares(weights: ReadonlyMap<number, number>): ReadonlyMap<number, number> | null {
  let total = 0;
  for (const weight of weights.values()) {
    if (!(weight >= 0)) return null;
    total += weight;
  }
  if (!(total > 0) || !Number.isFinite(total)) return null;
  return new Map([...weights].map(([label, weight]) => [label, weight / total]));
}

/**
 * Jensen–Shannon divergence of two distributions over label indices, base 2, 0..1 (Lin 1991). The weights need not be
 * normalized. NaN when either has no positive finite sum or a weight that is negative or not a number.
 */
export function toDivergence(left: ReadonlyMap<number, number>, right: ReadonlyMap<number, number>): number {
  const p = toShares(left);
  const q = toShares(right);
  if (p === null || q === null) return Number.NaN;
  let sum = 0;
  for (const label of new Set([...p.keys(), ...q.keys()])) {
    const a = p.get(label) ?? 0;
    const b = q.get(label) ?? 0;
    const middle = (a + b) / 2;
    if (a > 0) sum += (a / 2) * Math.log2(a / middle);
    if (b > 0) sum += (b / 2) * Math.log2(b / middle);
  }
  // Rounding may leave a hair outside.
  return Math.min(1, Math.max(0, sum));
}

function toWeights(counts: Readonly<Record<string, number>>): ReadonlyMap<number, number> {
  return new Map(Object.entries(counts).map(([label, count]) => [Number(label), count]));
}

/** How far the classes that the stage answers lie from the stated distribution or from the control's. */
export function judgeDrift(gate: GateOf<"drift">, context: GateContext): Verdict {
  const name = toGateName(gate);
  const threshold = gate.maxDivergence;
  const pair = readPair(
    {
      gate: name,
      what: "class counts",
      threshold,
      minRequests: gate.minRequests,
      against: gate.against,
      // Only presence and number matter here; the distributions are compared below.
      read: ({ classCounts }) =>
        classCounts === null ? null : Object.values(classCounts).reduce((total, count) => total + count, 0),
    },
    context,
  );
  if (pair.kind === "missing") return pair.verdict;
  const found = toWeights(context.evidence?.treatment.classCounts ?? {});
  const held =
    gate.against === "absolute"
      ? new Map(gate.expected.entries())
      : toWeights(context.evidence?.control.classCounts ?? {});
  return judge(
    {
      gate: name,
      subject: `the divergence of the classes from ${gate.against === "absolute" ? "the expected ones" : "the control"}`,
      value: toDivergence(found, held),
      threshold,
      control: null,
      samples: pair.samples,
      bound: "most",
      failCode: "classes_drifted",
    },
    context,
  );
}
