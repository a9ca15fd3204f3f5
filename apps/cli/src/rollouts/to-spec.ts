import { rolloutSpecSchema, type RolloutSpec } from "@fairlead/protocol";
import type * as z from "zod";
import { CliError, toUsageError } from "../errors.ts";
import { parseDuration } from "../parse-duration.ts";
import { parseNumber } from "../parse-option.ts";
import { suggestName } from "../suggest.ts";
import { parseGate } from "./parse-gate.ts";
import { parseStages } from "./parse-stages.ts";

export interface RolloutFlags {
  readonly model: string;
  readonly version: string;
  readonly slot: string;
  readonly selector: string;
  /** Whether an empty selector is meant. */
  readonly wholeFleet?: boolean;
  readonly control?: string;
  readonly stages: string;
  readonly gate: readonly string[];
  /** Stages that run the version beside the one that serves: NAME or NAME=PERCENT% of the requests. */
  readonly shadow?: readonly string[];
  readonly soak?: string;
  readonly stageTimeout?: string;
  readonly deviceSoak?: string;
  readonly maxFailures?: string;
  readonly successRatio?: string;
  readonly manual?: boolean;
  readonly onFailure?: string;
}

/** Reports every bad field at once. */
export function parseRolloutSpec(value: unknown, where: string): RolloutSpec {
  const parsed = rolloutSpecSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const more = parsed.error.issues.map((issue: z.core.$ZodIssue) => `  ${issue.path.join(".")}: ${issue.message}`);
  throw new CliError("usage", `${where} is not a valid rollout:`, { more });
}

const ratio = { what: "a share from 0 to 1, such as 0.95", fits: (value: number) => value >= 0 && value <= 1 };

function parseMaxFailures(text: string): { count: number | null; ratio: number | null } {
  const match = /^(?<number>\d+(?:\.\d+)?)(?<percent>%)?$/u.exec(text)?.groups;
  if (match === undefined) throw toUsageError(`--max-failures "${text}" is neither a count nor a percentage`);
  const number = Number(match["number"]);
  return match["percent"] === undefined ? { count: number, ratio: null } : { count: null, ratio: number / 100 };
}

interface ShadowFlag {
  readonly stage: string;
  readonly terms: { readonly share?: number };
}

function parseShadow(text: string): ShadowFlag {
  const match = /^(?<stage>[a-z0-9][a-z0-9-]{0,31})(?:=(?<percent>\d+(?:\.\d+)?)%)?$/u.exec(text)?.groups;
  if (match === undefined)
    throw toUsageError(`--shadow "${text}" is not understood`, "write STAGE=PERCENT%, for instance beside=20%");
  const { stage = "", percent } = match;
  return { stage, terms: percent === undefined ? {} : { share: Number(percent) / 100 } };
}

export function toRolloutSpec(flags: RolloutFlags): RolloutSpec {
  const stages = parseStages(flags.stages);
  const gates = flags.gate.map(parseGate);
  const names = stages.map((stage) => stage.name);
  const shadows = (flags.shadow ?? []).map(parseShadow);
  const named = [
    ...gates.flatMap((gate) => gate.stages.map((name) => ({ name, what: "a gate" }))),
    ...shadows.map(({ stage }) => ({ name: stage, what: "--shadow" })),
  ];
  for (const { name, what } of named) {
    if (names.includes(name)) continue;
    const near = suggestName(name, names);
    throw toUsageError(
      `${what} names the stage "${name}", which is not in --stages`,
      near === null ? undefined : `did you mean "${near}"?`,
    );
  }
  const isShadow = (name: string): boolean => shadows.some(({ stage }) => stage === name);
  const policy = {
    ...(flags.soak === undefined ? {} : { soakMs: parseDuration(flags.soak) }),
    ...(flags.stageTimeout === undefined ? {} : { timeoutMs: parseDuration(flags.stageTimeout) }),
    ...(flags.maxFailures === undefined ? {} : { maxFailures: parseMaxFailures(flags.maxFailures) }),
    ...(flags.successRatio === undefined
      ? {}
      : { successRatio: parseNumber("--success-ratio", flags.successRatio, ratio) }),
    ...(flags.manual === true ? { approval: "manual" } : {}),
  };
  const value = {
    slot: flags.slot,
    model: flags.model,
    version: flags.version,
    selector: flags.selector,
    wholeFleet: flags.wholeFleet ?? false,
    control: flags.control ?? null,
    stages: stages.map((stage) => ({
      ...stage,
      ...policy,
      shadow: shadows.find((shadow) => shadow.stage === stage.name)?.terms ?? null,
      gates: gates
        .filter(
          (gate) =>
            (gate.stages.length === 0 && (gate.spec.kind !== "agreement" || isShadow(stage.name))) ||
            gate.stages.includes(stage.name),
        )
        .map((gate) => gate.spec),
    })),
    ...(flags.onFailure === undefined ? {} : { onFailure: flags.onFailure }),
    ...(flags.deviceSoak === undefined ? {} : { deviceSoakMs: parseDuration(flags.deviceSoak) }),
  };
  return parseRolloutSpec(value, "the command line");
}
