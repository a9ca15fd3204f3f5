import { checkInputs, checkRows, type Tensor } from "@fairlead/inference";
import { hasErrorCode, toErrorMessage } from "@fairlead/kernel";
import type { GoldenCase } from "./golden.ts";
import type { SelfTestCase, SelfTestResult } from "./ipc.ts";
import type { InferAsk, Load } from "./load.ts";

export interface SelfTestOptions {
  readonly latencyP95Ms: number | null;
  /** Least share of cases that must pass, 0..1. */
  readonly minPassedRatio: number;
  readonly repeats: number;
}

const maxRuns = 5_000;
export const ask: InferAsk = { memory: null, priority: "normal", timeoutMs: null, client: null, alone: false };

/**
 * Runs every case, compares, then measures. A case that throws fails; a run past its deadline ends the whole test,
 * since the process is about to be killed. The comparing run warms the model up and is not timed.
 */
export async function runSelfTest(
  load: Load,
  cases: readonly GoldenCase[],
  options: SelfTestOptions,
): Promise<SelfTestResult> {
  const results: SelfTestCase[] = [];
  for (const golden of cases) results.push((await runCase(load, golden)).result);
  const good = results.filter((result) => result.passed).length;
  // Written so that NaN refuses; a set without cases proves nothing.
  const passed = good / results.length >= options.minPassedRatio;
  if (!passed) return { passed, reason: null, cases: results, latencyUs: null };
  const latencyUs = await measure(load, cases, options.repeats);
  const limit = options.latencyP95Ms;
  const slow = limit !== null && !(latencyUs.p95 <= limit * 1_000);
  const reason = slow ? `95th percentile ${(latencyUs.p95 / 1_000).toFixed(3)} ms is over ${limit} ms` : null;
  return { passed: !slow, reason, cases: results, latencyUs };
}

export interface RunCase {
  readonly result: SelfTestCase;
  /** Null when the run failed. */
  readonly outputs: readonly Tensor[] | null;
  readonly busyUs: number;
}

/** A case that throws fails; a run past its deadline throws on, since the process is about to be killed. */
export async function runCase(load: Load, golden: GoldenCase): Promise<RunCase> {
  const { name } = golden;
  try {
    const inputs = golden.inputs.map(copy);
    checkInputs(load.target.name, load.target.inputs, inputs);
    checkRows(load.target.name, load.instances.sharedRows, inputs);
    const { outputs, shareUs } = await load.infer(inputs, ask);
    return { result: { name, ...compare(golden, outputs) }, outputs, busyUs: shareUs };
  } catch (error) {
    if (hasErrorCode(error, "inference_deadline") || hasErrorCode(error, "model_hung")) throw error;
    const reason = toErrorMessage(error).slice(0, 500);
    return { result: { name, passed: false, reason, maxAbsError: null }, outputs: null, busyUs: 0 };
  }
}

/** Inputs are consumed by a run, and golden inputs are run many times. */
export function copy(tensor: Tensor): Tensor {
  return { ...tensor, data: tensor.data.slice() };
}

function compare(golden: GoldenCase, outputs: readonly Tensor[]): Omit<SelfTestCase, "name"> {
  let maxAbsError = 0;
  let reason: string | null = null;
  for (const expected of golden.outputs) {
    const actual = outputs.find((output) => output.name === expected.name);
    const difference = actual === undefined ? `no output '${expected.name}'` : compareHeads(expected, actual);
    if (actual === undefined || difference !== null) return { passed: false, reason: difference, maxAbsError: null };
    for (let index = 0; index < expected.data.length; index += 1) {
      const wanted = Number(expected.data[index]);
      const error = Math.abs(Number(actual.data[index]) - wanted);
      if (!(error <= golden.toleranceAbs + golden.toleranceRel * Math.abs(wanted))) {
        reason ??= `output '${expected.name}' element ${index} is ${Number(actual.data[index])}, expected ${wanted}`;
      }
      maxAbsError = Math.max(maxAbsError, error);
    }
  }
  const finite = Number.isFinite(maxAbsError);
  return { passed: reason === null, reason, maxAbsError: finite ? maxAbsError : null };
}

function compareHeads(expected: Tensor, actual: Tensor): string | null {
  const wanted = `${expected.datatype} [${expected.shape.join(",")}]`;
  const got = `${actual.datatype} [${actual.shape.join(",")}]`;
  return wanted === got ? null : `output '${expected.name}' is ${got}, expected ${wanted}`;
}

/** Percentiles of the time from asking to answer, over `repeats` rounds of all cases. */
async function measure(
  load: Load,
  cases: readonly GoldenCase[],
  repeats: number,
): Promise<{ p50: number; p95: number; p99: number }> {
  const times: number[] = [];
  for (let round = 0; round < Math.max(1, repeats) && times.length < maxRuns; round += 1) {
    for (const golden of cases) {
      const inputs = golden.inputs.map(copy);
      const startedMs = performance.now();
      await load.infer(inputs, ask);
      times.push((performance.now() - startedMs) * 1_000);
    }
  }
  return toPercentiles(times);
}

export function toPercentiles(times: readonly number[]): { p50: number; p95: number; p99: number } {
  const sorted = Float64Array.from(times).sort();
  const at = (ratio: number) => sorted[Math.min(sorted.length - 1, Math.ceil(ratio * sorted.length) - 1)] ?? 0;
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}
