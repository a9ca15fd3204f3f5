import { readChildren } from "../support/child-of.ts";
import { BenchDevice } from "./bench-device.ts";
import type { Row } from "./measure.ts";
import { readRssBytes } from "../support/rss.ts";
import { readCpuMs, readTogetherBytes } from "./process-cost.ts";

const observedMs = 60_000;
const settleMs = 20_000;

/** Both processes of an agent with one int8 model loaded, idle, at a window of ten seconds. */
export async function benchIdle(): Promise<Row[]> {
  await using bench = await BenchDevice.start(10_000);
  await bench.install("1.1.0");
  const { device } = bench;
  await new Promise((resolve) => setTimeout(resolve, settleMs));
  const pids = [device.process.pid, ...readChildren(device.process.pid)];
  const cpuBefore = pids.map(readCpuMs);
  await new Promise((resolve) => setTimeout(resolve, observedMs));
  const cpuMs = pids.reduce((sum, pid, index) => sum + readCpuMs(pid) - (cpuBefore[index] ?? 0), 0);
  const rss = pids.map((pid) => readRssBytes(pid) / 1e6);
  const sumMb = rss.reduce((sum, value) => sum + value, 0);
  const togetherMb = readTogetherBytes(pids) / 1e6;
  const sourceMb = await readSourceMb();
  return [
    {
      name: "agent resident memory, supervisor + serving, one int8 model, idle, shared pages counted once",
      value: `${togetherMb.toFixed(0)} MB`,
      against: "160 MB",
      ratio: (togetherMb / 160).toFixed(2),
      bound: "≤ 1",
      held: togetherMb <= 160,
    },
    {
      name: "the same, VmRSS of both added up, shared pages counted twice (for information)",
      value: `${sumMb.toFixed(0)} MB (${rss.map((value) => value.toFixed(0)).join(" + ")})`,
      against: "no bound",
      ratio: "–",
      bound: "–",
      held: true,
    },
    {
      name: "the same from source, as npm run agent and the demonstration start it (for information)",
      value: `${sourceMb.toFixed(0)} MB`,
      against: `${togetherMb.toFixed(0)} MB as built`,
      ratio: (sourceMb / togetherMb).toFixed(2),
      bound: "–",
      held: true,
    },
    {
      name: "agent processor time, idle, 10 s window",
      value: `${((cpuMs / observedMs) * 100).toFixed(2)} % of one core`,
      against: "1 %",
      ratio: (cpuMs / observedMs / 0.01).toFixed(2),
      bound: "≤ 1",
      held: cpuMs / observedMs <= 0.01,
    },
  ];
}

/** What is distributed is one file without comments and types; Node.js strips and compiles the source module by module. */
async function readSourceMb(): Promise<number> {
  await using bench = await BenchDevice.start(10_000, false);
  await bench.install("1.1.0");
  await new Promise((resolve) => setTimeout(resolve, settleMs));
  const { pid } = bench.device.process;
  return readTogetherBytes([pid, ...readChildren(pid)]) / 1e6;
}
