import type { GateSpec } from "@fairlead/protocol";
import type { GateOf } from "./gates/gate.ts";
import type { FleetDevice } from "./snapshot.ts";

/** What a gate has to go on in its stage. */
export interface Means {
  /** Devices that still run another version of the slot while the stage is judged. */
  readonly others: readonly Pick<FleetDevice, "device" | "running">[];
  readonly soakMs: number;
  /** Number of classes of the release; null when it has no classification output. */
  readonly labels: number | null;
  /** The same for each release that a device runs; one that is not in it is not known here. */
  readonly labelsOf: ReadonlyMap<string, number | null>;
  readonly shadow: boolean;
}

export interface Obstacle {
  readonly message: string;
  readonly hint: string;
}

/** Why no evidence can ever feed the gate, and what to do instead. */
export function toObstacles(gate: GateSpec, means: Means): readonly Obstacle[] {
  if (gate.kind === "self-test" || gate.kind === "placement") return [];
  const obstacles: Obstacle[] = [];
  if (gate.kind === "agreement" && !means.shadow)
    obstacles.push({
      message: "the stage installs the version, so no active build runs beside it to agree with",
      hint: "ask for agreement in a stage with a shadow",
    });
  if (gate.kind !== "agreement" && gate.against === "control" && means.others.length === 0)
    obstacles.push({
      message:
        "no device runs another version of the slot while this stage is judged, so there is nothing to compare with",
      hint: toAbsoluteHint(gate, "move it to an earlier stage that leaves control devices"),
    });
  if (means.soakMs === 0)
    obstacles.push({
      message: "a soak of 0 ms leaves no time for evidence",
      hint: "give the stage time with --soak (soakMs in a file), at least one minute",
    });
  return gate.kind === "confidence" || gate.kind === "drift"
    ? [...obstacles, ...toClassObstacles(gate, means)]
    : obstacles;
}

/** Gates against a bound instead of the control, as the command line writes them. */
const absoluteForms: Readonly<Partial<Record<GateSpec["kind"], string>>> = {
  errors: "errors<=1%",
  latency: "latency-p95<=40ms",
  confidence: "confidence>=0.6",
  energy: "energy<=0.5j",
};

function toAbsoluteHint({ kind }: GateSpec, otherwise: string): string {
  const form = absoluteForms[kind];
  const instead =
    form === undefined ? "state what is expected (rollouts create -f FILE)" : `ask for a bound, such as ${form}`;
  return `${instead}, or ${otherwise}`;
}

/** What stands in the way of gates that need the classes of answers. */
function toClassObstacles(
  gate: GateOf<"confidence" | "drift">,
  { labels, labelsOf, others }: Means,
): readonly Obstacle[] {
  if (labels === null)
    return [
      {
        message: "the release names no classification output, so devices measure neither confidence nor classes",
        hint: "push the next version with models push --labels LABELS (or --classification OUTPUT:LABELS), or gate on errors, latency and self-test",
      },
    ];
  if (gate.against === "control") return toControlObstacles(gate, { labels, labelsOf, others });
  if (gate.kind !== "drift") return [];
  if (gate.expected.length !== labels)
    return [
      {
        message: `expected holds ${gate.expected.length} shares, the release has ${labels} classes`,
        hint: `state one share for each of the ${labels} classes, in their order`,
      },
    ];
  return gate.expected.some((share) => share > 0)
    ? []
    : [{ message: "every expected share is 0", hint: "state at least one share above 0" }];
}

/**
 * A control device that measures no classes adds nothing to what is compared; when none measures them, nothing ever
 * comes. One that counts other classes would be merged with the rest, so a single one is too many.
 */
function toControlObstacles(
  gate: GateSpec,
  { labels, labelsOf, others }: Pick<Means, "labelsOf" | "others"> & { readonly labels: number },
): readonly Obstacle[] {
  const seen = others.flatMap(({ device, running }) => {
    const counted = running === null ? undefined : labelsOf.get(running.releaseId);
    return [{ device, version: running?.version ?? "", counted }];
  });
  const [first] = seen;
  if (first !== undefined && seen.every(({ counted }) => counted === null))
    return [
      {
        message: `the control's release measures no classes: none of its ${seen.length} devices runs one with a classification output, for instance ${first.device} with ${first.version}`,
        hint: toAbsoluteHint(gate, "gate on errors, latency and self-test"),
      },
    ];
  const other = seen.find(({ counted }) => counted !== undefined && counted !== null && counted !== labels);
  if (other === undefined) return [];
  return [
    {
      message: `the control's release has another number of classes: ${other.device} with ${other.version} has ${other.counted}, the release has ${labels}`,
      hint: toAbsoluteHint(gate, "name a control whose release has the same classes"),
    },
  ];
}
