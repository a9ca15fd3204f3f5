import { mkdirSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TelemetryWindow } from "@fairlead/protocol";
import type { TestDevice } from "../support/device.ts";
import { loadDigits } from "../support/digits.ts";
import { eventually } from "../support/eventually.ts";
import { emptyTally, toP95Ms } from "../support/load.ts";
import type { Claims } from "./claims.ts";
import type { DemoFleet } from "./fleet.ts";
import { narrator } from "./narrator.ts";

const batchDevice = "berlin-2";
/** Is asked as often, and has no archive: what both show, the machine does. */
const idleTwin = "porto-2";
const files = 300;
const rowsPerFile = 64;
/** Two cores carry all of this, the clients too: that an answer comes a turn later is no verdict on the device. */
const moreWaitMs = 20;

const toFolder = (device: TestDevice): string => join(device.dir, "batch");

/** One device works on a folder in its idle gaps; its agent has to know that before it starts. */
export function configureBatch(devices: readonly TestDevice[]): void {
  const device = devices.find(({ name }) => name === batchDevice);
  if (device === undefined) return;
  mkdirSync(join(toFolder(device), "in"), { recursive: true });
  const folder = JSON.stringify(toFolder(device));
  writeFileSync(
    join(device.dataDir, "config.yaml"),
    `batch: [{ name: archive, model: digit-reader, folder: ${folder} }]\n`,
  );
}

/** Files of many digits each, in a format that needs no header: the model's only input, row after row. */
function fillFolder(folder: string): void {
  const digits = loadDigits("test");
  for (let file = 0; file < files; file += 1) {
    const rows = Array.from({ length: rowsPerFile }, (_, row) => digits[(file * 7 + row) % digits.length]);
    const pixels = Float32Array.from(rows.flatMap((digit) => [...(digit?.pixels ?? [])]));
    const name = `${String(file).padStart(4, "0")}.f32`;
    writeFileSync(join(folder, `${name}.part`), Buffer.from(pixels.buffer));
    renameSync(join(folder, `${name}.part`), join(folder, "in", name));
  }
}

/** An archive is read beside the live requests: the device works more, and they hardly wait longer. */
export async function fillGaps(fleet: DemoFleet, claims: Claims): Promise<void> {
  narrator.chapter(`${batchDevice} reads an archive in its idle gaps`);
  const device = fleet.devices.find(({ name }) => name === batchDevice);
  if (device === undefined) throw new Error(`there is no device ${batchDevice}`);
  const folder = toFolder(device);
  fleet.enter("batch work");
  const startedAtMs = Date.now();
  const [worker, twin] = [new BusyWatch(fleet, batchDevice, startedAtMs), new BusyWatch(fleet, idleTwin, startedAtMs)];
  fillFolder(folder);
  const count = (part: string) => readdirSync(join(folder, part)).filter((name) => !name.endsWith(".part")).length;
  await eventually(
    "the archive is read",
    async () => {
      narrator.live.show(`${count("out")} of ${files} files of ${rowsPerFile} digits`);
      await Promise.all([worker.look(), twin.look()]);
      return count("in") === 0 && worker.share > 0 && twin.share > 0;
    },
    90_000,
  );
  narrator.live.done();
  const seconds = (Date.now() - startedAtMs) / 1_000;
  const live = fleet.loads.get(batchDevice)?.tally("batch work") ?? emptyTally();
  const [p95Ms, twinP95Ms] = [live, fleet.loads.get(idleTwin)?.tally("batch work") ?? emptyTally()].map(toP95Ms);
  narrator.say(
    `${files * rowsPerFile} digits in ${seconds.toFixed(1)} s, beside ${live.requests} live requests of which ${live.failures} failed`,
  );
  narrator.say(
    `busy for ${toPercent(worker.share)} of the time, ${idleTwin} without an archive for ${toPercent(twin.share)}; live requests p95 ${p95Ms?.toFixed(1)} ms against ${twinP95Ms?.toFixed(1)} ms`,
  );
  claims.check(
    "an archive was read in the idle gaps, and not one live request failed for it",
    count("out") === files && count("failed") === 0 && live.requests > 0 && live.failures === 0,
  );
  claims.check(
    "the archive filled the gaps: its device was busier than another, and live requests waited hardly longer there",
    p95Ms !== undefined &&
      twinP95Ms !== undefined &&
      worker.share > 1.5 * twin.share &&
      p95Ms <= 2 * twinP95Ms + moreWaitMs,
  );
}

/** How busy one device's reader is since a moment of the clock, from the windows that the device reports. */
class BusyWatch {
  readonly #windows = new Map<number, { readonly busyUs: number; readonly lengthMs: number }>();
  readonly #look: () => Promise<TelemetryWindow | null>;
  readonly #sinceMs: number;
  #lookedAtMs = 0;

  constructor(fleet: DemoFleet, name: string, sinceMs: number) {
    this.#look = async () => (await fleet.plane.device(name)).lastWindow;
    this.#sinceMs = sinceMs;
  }

  /** Harmless to call at any time: windows last a second. */
  async look(): Promise<void> {
    if (performance.now() < this.#lookedAtMs + 400) return;
    this.#lookedAtMs = performance.now();
    const window = await this.#look();
    if (window === null || window.t0Ms < this.#sinceMs) return;
    const busyUs = window.slots.reduce((sum, slot) => sum + slot.busyUs, 0);
    this.#windows.set(window.t0Ms, { busyUs, lengthMs: window.t1Ms - window.t0Ms });
  }

  get share(): number {
    const windows = [...this.#windows.values()];
    const lengthMs = windows.reduce((sum, window) => sum + window.lengthMs, 0);
    return windows.reduce((sum, window) => sum + window.busyUs, 0) / Math.max(1, 1_000 * lengthMs);
  }
}

const toPercent = (share: number): string => `${(100 * share).toFixed(1)} %`;
