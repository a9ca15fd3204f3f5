import { gateSpecSchema, type GateSpec } from "@fairlead/protocol";
import { toUsageError } from "../errors.ts";

export interface ParsedGate {
  /** Names of the stages that ask it; empty: every stage. */
  readonly stages: readonly string[];
  readonly spec: GateSpec;
}

export const gateGrammar =
  "[STAGE,…:]METRIC<=BOUND[@REQUESTS] with self-test>=R placement>=R errors<=R errors-increase<=R confidence>=R confidence-drop<=R " +
  "latency-pNN<=MS latency-pNN-ratio<=X energy<=J energy-ratio<=X drift<=D agreement>=R; ratios as 0.01 or 1%";

const form =
  /^(?:(?<stages>[a-z0-9-]+(?:,[a-z0-9-]+)*):)?(?<metric>[a-z][a-z0-9.-]*)(?<op><=|>=)(?<bound>\d+(?:\.\d+)?)(?<unit>%|ms|s|x|j)?(?:@(?<requests>\d+))?$/u;

interface Parts {
  readonly bound: number;
  readonly quantile: number;
  readonly minRequests?: number;
}

interface MetricForm {
  readonly op: "<=" | ">=";
  readonly units: readonly string[];
  readonly toSpec: (parts: Parts) => unknown;
}

const ratio = ["", "%"];
const rest = ({ minRequests }: Parts) => (minRequests === undefined ? {} : { minRequests });

/** Metric names say the cohort: `…-increase`, `…-drop`, `…-ratio` and `drift` compare with the control. */
const metrics: Readonly<Record<string, MetricForm>> = {
  "self-test": { op: ">=", units: ratio, toSpec: ({ bound }) => ({ kind: "self-test", minPassedRatio: bound }) },
  placement: { op: ">=", units: ratio, toSpec: ({ bound }) => ({ kind: "placement", minShare: bound }) },
  errors: {
    op: "<=",
    units: ratio,
    toSpec: (p) => ({ kind: "errors", against: "absolute", maxRatio: p.bound, ...rest(p) }),
  },
  "errors-increase": {
    op: "<=",
    units: ratio,
    toSpec: (p) => ({ kind: "errors", against: "control", maxIncrease: p.bound, ...rest(p) }),
  },
  confidence: {
    op: ">=",
    units: ratio,
    toSpec: (p) => ({ kind: "confidence", against: "absolute", minMean: p.bound, ...rest(p) }),
  },
  "confidence-drop": {
    op: "<=",
    units: ratio,
    toSpec: (p) => ({ kind: "confidence", against: "control", maxDrop: p.bound, ...rest(p) }),
  },
  agreement: { op: ">=", units: ratio, toSpec: (p) => ({ kind: "agreement", minRatio: p.bound, ...rest(p) }) },
  energy: {
    op: "<=",
    units: ["", "j"],
    toSpec: (p) => ({ kind: "energy", against: "absolute", maxJ: p.bound, ...rest(p) }),
  },
  "energy-ratio": {
    op: "<=",
    units: ["", "x"],
    toSpec: (p) => ({ kind: "energy", against: "control", maxRatio: p.bound, ...rest(p) }),
  },
  drift: {
    op: "<=",
    units: [""],
    toSpec: (p) => ({ kind: "drift", against: "control", maxDivergence: p.bound, ...rest(p) }),
  },
  latency: {
    op: "<=",
    units: ["", "ms", "s"],
    toSpec: (p) => ({ kind: "latency", against: "absolute", quantile: p.quantile, maxMs: p.bound, ...rest(p) }),
  },
  "latency-ratio": {
    op: "<=",
    units: ["", "x"],
    toSpec: (p) => ({ kind: "latency", against: "control", quantile: p.quantile, maxRatio: p.bound, ...rest(p) }),
  },
};

/** Each device answers once. */
const perDevice: ReadonlySet<string> = new Set(["self-test", "placement"]);

/** `canary,half:latency-p95-ratio<=1.2@200` */
export function parseGate(text: string): ParsedGate {
  const refuse = (why: string): never => {
    throw toUsageError(`gate "${text}": ${why}`, `${gateGrammar}; quote it, "<" and ">" mean something to the shell`);
  };
  const groups = form.exec(text.replaceAll(" ", ""))?.groups;
  if (groups === undefined) return refuse("not understood");
  const quantileText = /-p(\d{1,2}(?:\.\d)?)/u.exec(groups["metric"] ?? "")?.[1];
  const name = (groups["metric"] ?? "").replace(/-p\d{1,2}(?:\.\d)?/u, "");
  const metric = Object.hasOwn(metrics, name) ? metrics[name] : undefined;
  if (metric === undefined || (quantileText !== undefined) !== name.startsWith("latency"))
    return refuse(
      name.startsWith("latency") ? "name the quantile: latency-p95" : `there is no metric "${groups["metric"]}"`,
    );
  const unit = groups["unit"] ?? "";
  if (groups["op"] !== metric.op) return refuse(`${name} is bounded with ${metric.op}`);
  if (!metric.units.includes(unit)) return refuse(`the unit ${unit} does not fit ${name}`);
  if (groups["requests"] !== undefined && perDevice.has(name))
    return refuse(`${name} is judged by devices, not by requests: leave @${groups["requests"]} out`);
  const scale = unit === "%" ? 0.01 : unit === "s" ? 1_000 : 1;
  const parsed = gateSpecSchema.safeParse(
    metric.toSpec({
      bound: Number((Number(groups["bound"]) * scale).toPrecision(12)),
      quantile: Number((Number(quantileText ?? 0) / 100).toPrecision(6)),
      ...(groups["requests"] === undefined ? {} : { minRequests: Number(groups["requests"]) }),
    }),
  );
  if (!parsed.success) return refuse(parsed.error.issues.map((issue) => issue.message).join("; "));
  return { stages: groups["stages"]?.split(",") ?? [], spec: parsed.data };
}
