import { createTensorData, toElementCount, type Tensor } from "@fairlead/inference";
import { CodedError } from "@fairlead/kernel";
import type { GoldenCase } from "./golden.ts";
import type { BenchmarkResult } from "./ipc.ts";
import type { Load } from "./load.ts";
import { ask, copy, runCase, toPercentiles } from "./self-test.ts";

const warmupRuns = 20;
const maxRuns = 200_000;
/** Longest time for all golden cases, and again for the timed runs: whoever asked waits for it, and other slots may be served meanwhile. */
const longestMs = 120_000;

/**
 * Compares every golden case, warms the model up, then runs the cases round and round for `durationMs`, one after the
 * other, at least once each. Only the last part is timed.
 * @throws CodedError `benchmark_failed` when no input of the set can be run, or not all of them in time
 */
export async function runBenchmark(
  load: Load,
  cases: readonly GoldenCase[] | null,
  durationMs: number,
): Promise<BenchmarkResult> {
  let inferences = 0;
  let busyUs = 0;
  const compared = cases === null ? null : await compareCases(load, cases);
  if (compared !== null) {
    inferences += compared.inferences;
    busyUs += compared.busyUs;
  }
  const inputs = compared === null ? [toZeros(load)] : compared.runnable;
  if (inputs.length === 0) throw new CodedError("benchmark_failed", compared?.reason ?? "no golden case can be run");
  const run = async (at: number): Promise<number> => {
    const tensors = (inputs[at % inputs.length] ?? []).map(copy);
    const startedMs = performance.now();
    const { shareUs } = await load.infer(tensors, ask);
    inferences += 1;
    busyUs += shareUs;
    return (performance.now() - startedMs) * 1_000;
  };
  const beganMs = performance.now();
  for (let count = 0; count < warmupRuns && performance.now() - beganMs < durationMs; count += 1) await run(count);
  const times: number[] = [];
  const endMs = performance.now() + durationMs;
  const lastMs = performance.now() + Math.max(longestMs, durationMs);
  while (times.length < maxRuns && (times.length < inputs.length || performance.now() < endMs)) {
    times.push(await run(times.length));
    if (performance.now() > lastMs) break;
  }
  const { p50, p99 } = toPercentiles(times);
  return {
    latencyUs: { p50, p99 },
    runs: times.length,
    inferences,
    busyUs,
    golden: compared === null ? null : { cases: cases?.length ?? 0, withinTolerance: compared.withinTolerance },
    topClass: compared === null || load.classificationOutput === null ? null : compared.topClass,
  };
}

interface Compared {
  readonly withinTolerance: number;
  readonly topClass: { readonly rows: number; readonly agreeing: number };
  readonly inferences: number;
  readonly busyUs: number;
  readonly runnable: readonly (readonly Tensor[])[];
  /** Why the first case could not be run. */
  readonly reason: string | null;
}

async function compareCases(load: Load, cases: readonly GoldenCase[]): Promise<Compared> {
  const topClass = { rows: 0, agreeing: 0 };
  const runnable: (readonly Tensor[])[] = [];
  let [withinTolerance, busyUs] = [0, 0];
  let reason: string | null = null;
  const lastMs = performance.now() + longestMs;
  for (const golden of cases) {
    if (performance.now() > lastMs)
      throw new CodedError("benchmark_failed", `the golden set took longer than ${longestMs / 1_000} s`);
    const { result, outputs, busyUs: caseUs } = await runCase(load, golden);
    if (result.passed) withinTolerance += 1;
    busyUs += caseUs;
    if (outputs === null) reason ??= result.reason;
    else runnable.push(golden.inputs);
    const wanted = golden.outputs.find(({ name }) => name === load.classificationOutput);
    const found = outputs?.find(({ name }) => name === load.classificationOutput);
    if (wanted !== undefined) countAgreement(wanted, found, topClass);
  }
  return { withinTolerance, topClass, inferences: runnable.length, busyUs, runnable, reason };
}

function countAgreement(wanted: Tensor, found: Tensor | undefined, count: { rows: number; agreeing: number }): void {
  const classes = wanted.shape.at(-1) ?? 0;
  if (classes === 0) return;
  for (let row = 0; row < wanted.data.length / classes; row += 1) {
    count.rows += 1;
    if (found?.data.length === wanted.data.length && toTop(wanted, row, classes) === toTop(found, row, classes))
      count.agreeing += 1;
  }
}

/** Index of the greatest value of a row, or -1 when it has none: not-a-number agrees with nothing. */
function toTop({ data }: Tensor, row: number, classes: number): number {
  let best = -1;
  for (let index = 0; index < classes; index += 1) {
    const value = Number(data[row * classes + index]);
    if (Number.isNaN(value)) return -1;
    if (best < 0 || value > Number(data[row * classes + best])) best = index;
  }
  return best;
}

/** One row of zeros for each input: enough to time a model whose release has no golden set. */
function toZeros({ target }: Load): readonly Tensor[] {
  return target.inputs.map(({ name, datatype, shape }) => {
    const sizes = shape.map((size) => (size < 0 ? 1 : size));
    return { name, datatype, shape: sizes, data: createTensorData(datatype, toElementCount(sizes)) };
  });
}
