import { CodedError } from "@fairlead/kernel";
import type { SlotChoice } from "@fairlead/protocol";
import { join } from "node:path";
import { choicesSchema } from "../models/choice/choice-record.ts";
import { toDataPaths } from "../paths.ts";
import { openStateFile } from "../state/state-file.ts";

const heading = ["BUILD", "PRECISION", "P50", "P99", "J/INFERENCE", "ACCURACY", "VERDICT"];
const toMs = (us: number | undefined): string => (us === undefined ? "-" : `${(us / 1_000).toFixed(3)} ms`);
const toRatio = (ratio: number | null): string => (ratio === null ? "-" : `${(ratio * 100).toFixed(1)} %`);

function toRow(candidate: SlotChoice["candidates"][number]): string[] {
  const { buildDigest, precision, quantization, latencyUs, joulesPerInference, energyMethod } = candidate;
  const joules =
    joulesPerInference.value === null
      ? "-"
      : `${joulesPerInference.value.toPrecision(3)} (${energyMethod ?? "method unknown"})`;
  return [
    buildDigest.slice(7, 19),
    `${precision} ${quantization}`,
    toMs(latencyUs?.p50),
    toMs(latencyUs?.p99),
    joules,
    toRatio(candidate.accuracyRatio),
    `${candidate.verdict}: ${candidate.reason}`,
  ];
}

function toLines(slot: string, choice: SlotChoice): string[] {
  const rows = [heading, ...choice.candidates.map(toRow)];
  const widths = heading.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const when =
    choice.measuredAtMs === null ? "not measured yet" : `measured ${new Date(choice.measuredAtMs).toISOString()}`;
  const policy = `${choice.policy.objective}, policy of the ${choice.policyFrom}`;
  return [
    `slot ${slot}: ${choice.state} by ${policy}, ${when}`,
    ...rows.map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ")}`.trimEnd()),
  ];
}

/**
 * Every slot with a choice, or the one that is asked for.
 * @throws CodedError `not_measured`
 */
export function readSlotChoices(root: string, slot: string | undefined): [string, SlotChoice][] {
  const loaded = openStateFile(join(toDataPaths(root).state, "choices.json"), choicesSchema).load();
  const slots = loaded.kind === "loaded" || loaded.kind === "recovered" ? loaded.value.slots : {};
  const asked = Object.entries(slots).filter(([name]) => slot === undefined || name === slot);
  if (asked.length > 0) return asked;
  throw new CodedError("not_measured", `nothing was measured${slot === undefined ? "" : ` for slot ${slot}`}`, {
    hint: "a release with several builds for this device is measured when it is installed",
  });
}

/**
 * The builds that this device has measured, the losing ones too, slot by slot. The agent measures when a release leaves
 * a choice, and again when the hardware, a driver or the runtime changes.
 * @throws CodedError `not_measured`
 */
export function showBench(
  root: string,
  options: { readonly slot: string | undefined; readonly json: boolean },
): number {
  const asked = readSlotChoices(root, options.slot);
  const text = options.json
    ? JSON.stringify(Object.fromEntries(asked), null, 2)
    : asked.flatMap(([slot, choice]) => toLines(slot, choice)).join("\n");
  process.stdout.write(`${text}\n`);
  return 0;
}
