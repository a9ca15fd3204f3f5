import { CodedError } from "@fairlead/kernel";
import { isSelected, parseSelector, type HttpErrorCode, type RolloutSpec } from "@fairlead/protocol";
import { toGateName } from "./gates/gate.ts";
import { toObstacles } from "./obstacles.ts";
import { planStages } from "./plan.ts";
import type { FleetDevice } from "./snapshot.ts";

export type RolloutProblemCode = Extract<
  HttpErrorCode,
  "selector_empty" | "stages_incomplete" | "gate_unfeedable" | "validation_failed"
>;

export interface RolloutProblem {
  readonly code: RolloutProblemCode;
  /** Where in the specification, for instance `stages.1.gates.0`. */
  readonly path: string;
  readonly stage: string | null;
  readonly gate: string | null;
  readonly message: string;
  readonly hint: string;
}

export interface CheckContext {
  /** The id that the rollout will have, so that the same devices are in the same stages as later. */
  readonly rolloutId: string;
  readonly releaseId: string;
  /** Number of classes that the release names; null when it has no classification output. */
  readonly labels: number | null;
  /** The same for every release that a device of the fleet runs; one that is not in it is not known here. */
  readonly labelsOf: ReadonlyMap<string, number | null>;
  readonly fleet: readonly Pick<FleetDevice, "device" | "labels" | "lifecycle" | "running">[];
}

type Report = (problem: Omit<RolloutProblem, "stage" | "gate"> & Partial<RolloutProblem>) => void;

/** Every reason why the specification cannot lead to an end, all at once; empty when it can. */
export function checkRolloutSpec(spec: RolloutSpec, context: CheckContext): readonly RolloutProblem[] {
  const problems: RolloutProblem[] = [];
  const report: Report = (problem) => problems.push({ stage: null, gate: null, ...problem });
  if (spec.selector.trim() === "" && !spec.wholeFleet)
    report({
      code: "selector_empty",
      path: "selector",
      message: "the selector is empty, which would name every device of the fleet",
      hint: "name the devices, or say that all of them are meant: wholeFleet: true, or --all-devices at the command line",
    });
  const selector = parseSelector(spec.selector);
  const matching = context.fleet.filter(({ labels }) => isSelected(selector, labels));
  const candidates = matching.filter(({ lifecycle }) => lifecycle === "enrolled");
  if (candidates.length === 0)
    report({
      code: "selector_empty",
      path: "selector",
      message: `the selector "${spec.selector}" names no device that may take part (${matching.length} match, none is enrolled)`,
      hint: "change the selector or the devices' labels, or approve and release the devices first",
    });
  checkStageNames(spec, report);
  checkPercents(spec, report);
  if (candidates.length === 0) return problems;

  const planned = planStages({
    rolloutId: context.rolloutId,
    spec,
    candidates,
    assigned: new Map(),
    openFrom: 0,
  });
  const left = candidates.filter(({ device }) => !planned.has(device));
  if (left.length > 0 && !problems.some(({ code }) => code === "stages_incomplete"))
    report({
      code: "stages_incomplete",
      path: "stages",
      message: `no stage covers ${left.length} of ${candidates.length} devices, for instance ${left[0]?.device ?? ""}`,
      hint: "end with a stage of 100 %, or add a stage whose selector names them",
    });
  const control = spec.control === null ? null : parseSelector(spec.control);
  if (control !== null && !candidates.some(({ labels }) => isSelected(control, labels)))
    report({
      code: "selector_empty",
      path: "control",
      message: `the control selector "${spec.control ?? ""}" names no device of the rollout`,
      hint: "name devices that the rollout's selector names too, or leave control out",
    });
  spec.stages.forEach((stage, index) => {
    if (!stage.shadow && stage.timeoutMs < spec.deviceSoakMs)
      report({
        code: "validation_failed",
        path: `stages.${index}.timeoutMs`,
        stage: stage.name,
        message: `stage ${stage.name} gives its devices ${stage.timeoutMs} ms, and each of them watches the new build for ${spec.deviceSoakMs} ms before it says that it succeeded`,
        hint: "give the stage more time (--stage-timeout), or let devices watch for less (--device-soak)",
      });
    if (stage.target.kind === "selector" && ![...planned.values()].includes(index))
      report({
        code: "selector_empty",
        path: `stages.${index}.target`,
        stage: stage.name,
        message: `stage ${stage.name} gets no device: its selector "${stage.target.selector}" names none, or only control devices and those of earlier stages`,
        hint: "change the stage's selector or the control selector, or remove the stage",
      });
    const others = candidates.filter(
      ({ device, labels, running }) =>
        (planned.get(device) ?? spec.stages.length) > index &&
        running !== null &&
        running.releaseId !== context.releaseId &&
        (control === null || isSelected(control, labels)),
    );
    checkShadow(spec, index, report);
    const shadowed = stage.shadow ? candidates.filter(({ device }) => planned.get(device) === index) : null;
    const bare = shadowed?.filter(({ running }) => running === null) ?? [];
    if (bare.length > 0)
      report({
        code: "gate_unfeedable",
        path: `stages.${index}.shadow`,
        stage: stage.name,
        message: `stage ${stage.name} runs a shadow, and ${bare.length} of its devices serve nothing that it could run beside, for instance ${bare[0]?.device ?? ""}`,
        hint: "leave them out by the stage's selector, or install the version there without a shadow",
      });
    const names = new Set<string>();
    stage.gates.forEach((gate, position) => {
      const name = toGateName(gate);
      const where = { path: `stages.${index}.gates.${position}`, stage: stage.name, gate: name };
      if (names.has(name))
        report({
          ...where,
          code: "validation_failed",
          message: `stage ${stage.name} has the gate ${name} twice`,
          hint: "keep the stricter one",
        });
      names.add(name);
      for (const { message, hint } of toObstacles(gate, {
        others: shadowed ?? others,
        soakMs: stage.soakMs,
        labels: context.labels,
        labelsOf: context.labelsOf,
        shadow: shadowed !== null,
      }))
        report({ ...where, code: "gate_unfeedable", message: `stage ${stage.name}, gate ${name}: ${message}`, hint });
    });
  });
  return problems;
}

/** @throws CodedError with the first problem's code, and all of them in `details.problems` */
export function assertRolloutSpec(spec: RolloutSpec, context: CheckContext): void {
  const problems = checkRolloutSpec(spec, context);
  const [first] = problems;
  if (first === undefined) return;
  throw new CodedError<RolloutProblemCode>(first.code, problems.map(({ message }) => message).join("; "), {
    hint: first.hint,
    details: { problems },
  });
}

function checkStageNames(spec: RolloutSpec, report: Report): void {
  spec.stages.forEach(({ name }, index) => {
    if (spec.stages.findIndex((stage) => stage.name === name) === index) return;
    const message = `two stages are named ${name}`;
    report({ code: "validation_failed", path: `stages.${index}.name`, stage: name, message, hint: "rename one" });
  });
}

function checkShadow(spec: RolloutSpec, index: number, report: Report): void {
  const stage = spec.stages[index];
  if (!stage?.shadow || index < spec.stages.length - 1) return;
  report({
    code: "stages_incomplete",
    path: `stages.${index}.shadow`,
    stage: stage.name,
    message: `the last stage ${stage.name} runs the version as a shadow, so no stage installs it`,
    hint: "add a stage without a shadow; with approval: manual on this one, `rollouts promote` starts it",
  });
}

function checkPercents(spec: RolloutSpec, report: Report): void {
  let reached = 0;
  spec.stages.forEach(({ name, target }, index) => {
    if (target.kind !== "percent") return;
    const where = { code: "stages_incomplete", path: `stages.${index}.target.percent`, stage: name } as const;
    // A shadow stage's devices go on to the next stage, which may have no others.
    const least = spec.stages[index - 1]?.shadow ? target.percent < reached : target.percent <= reached;
    if (least)
      report({
        ...where,
        message: `stage ${name} reaches ${target.percent} %, no more than the ${reached} % before it`,
        hint: "percentages are cumulative: each must be larger than the last",
      });
    else if (index === spec.stages.length - 1 && target.percent < 100)
      report({
        ...where,
        message: `the last stage ${name} reaches ${target.percent} % of the devices`,
        hint: "let the last stage reach 100 %",
      });
    reached = Math.max(reached, target.percent);
  });
}
