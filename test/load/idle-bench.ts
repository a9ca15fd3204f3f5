import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readChildren } from "../support/child-of.ts";
import { runCliJson } from "../support/cli.ts";
import { createEnrolmentToken, TestDevice } from "../support/device.ts";
import { eventually } from "../support/eventually.ts";
import { TestPlane } from "../support/plane.ts";
import { publishDigitReader } from "../support/publish.ts";
import type { Row } from "./measure.ts";
import { readCpuMs, readRssBytes, readTogetherBytes } from "./process-cost.ts";

const observedMs = 60_000;

/** Both processes of an agent with one int8 model loaded, idle, at a window of ten seconds. */
export async function benchIdle(): Promise<Row[]> {
  const dir = mkdtempSync(join(tmpdir(), "fairlead-bench-"));
  await using _folder = { [Symbol.asyncDispose]: async () => rmSync(dir, { recursive: true, force: true }) };
  await using plane = await new TestPlane({ dir: join(dir, "plane") }).start();
  await using device = new TestDevice({
    name: "idle-1",
    dir: join(dir, "idle-1"),
    labels: {},
    telemetryWindowMs: 10_000,
    built: true,
  });
  await device.enrol(plane, await createEnrolmentToken(plane, 1));
  device.run();
  await publishDigitReader(plane, "1.1.0");
  await eventually("the device is online", async () => (await plane.device(device.name)).online);
  await runCliJson(
    [
      "rollouts",
      "create",
      "--model",
      "digit-reader",
      "--version",
      "1.1.0",
      "--slot",
      "reader",
      "--selector",
      "",
      "--stages",
      "all=100%",
      "--soak",
      "0s",
      "--device-soak",
      "0s",
    ],
    plane.cliEnv,
  );
  await eventually("the device serves", async () => (await plane.device(device.name)).slots[0]?.serving, 60_000);
  await new Promise((resolve) => setTimeout(resolve, 20_000));
  const pids = [device.process.pid, ...readChildren(device.process.pid)];
  const cpuBefore = pids.map(readCpuMs);
  await new Promise((resolve) => setTimeout(resolve, observedMs));
  const cpuMs = pids.reduce((sum, pid, index) => sum + readCpuMs(pid) - (cpuBefore[index] ?? 0), 0);
  const rss = pids.map((pid) => readRssBytes(pid) / 1e6);
  const sumMb = rss.reduce((sum, value) => sum + value, 0);
  const togetherMb = readTogetherBytes(pids) / 1e6;
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
      name: "agent processor time, idle, 10 s window",
      value: `${((cpuMs / observedMs) * 100).toFixed(2)} % of one core`,
      against: "1 %",
      ratio: (cpuMs / observedMs / 0.01).toFixed(2),
      bound: "≤ 1",
      held: cpuMs / observedMs <= 0.01,
    },
  ];
}
