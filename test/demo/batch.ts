import { mkdirSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestDevice } from "../support/device.ts";
import { loadDigits } from "../support/digits.ts";
import { eventually } from "../support/eventually.ts";
import type { Claims } from "./claims.ts";
import type { DemoFleet } from "./fleet.ts";
import { narrator } from "./narrator.ts";

const batchDevice = "berlin-2";
const files = 300;
const rowsPerFile = 64;

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

/** An archive is read beside the live requests, and the devices say where their models run. */
export async function fillGaps(fleet: DemoFleet, claims: Claims): Promise<void> {
  narrator.chapter(`${batchDevice} reads an archive in its idle gaps`);
  const device = fleet.devices.find(({ name }) => name === batchDevice);
  if (device === undefined) throw new Error(`there is no device ${batchDevice}`);
  const folder = toFolder(device);
  fleet.enter("batch work");
  const startedAt = performance.now();
  fillFolder(folder);
  const count = (part: string) => readdirSync(join(folder, part)).filter((name) => !name.endsWith(".part")).length;
  await eventually(
    "the archive is read",
    () => {
      narrator.live.show(`${count("out")} of ${files} files of ${rowsPerFile} digits`);
      return count("in") === 0;
    },
    60_000,
  );
  narrator.live.done();
  const seconds = (performance.now() - startedAt) / 1_000;
  const live = fleet.loads.get(batchDevice)?.tally("batch work");
  narrator.say(
    `${files * rowsPerFile} digits in ${seconds.toFixed(1)} s, beside ${live?.requests ?? 0} live requests of which ${live?.failures ?? 0} failed`,
  );
  claims.check(
    "an archive was read in the idle gaps, and not one live request failed for it",
    count("out") === files && count("failed") === 0 && live !== undefined && live.failures === 0,
  );

  const described = await fleet.cli(["devices", "describe", batchDevice]);
  const placement = described.stdout.split("\n").find((line) => line.includes("placement"));
  if (placement !== undefined) process.stdout.write(`    ${placement.trim()}\n`);
  const details = await Promise.all(fleet.devices.map(({ name }) => fleet.plane.device(name)));
  const shares = details.map((detail) => detail.reported?.slots[0]?.placement?.proved);
  claims.check(
    "every device proves where its model runs",
    shares.every((proved) => Object.values(proved ?? {}).reduce((sum, share) => sum + share, 0) > 0.999),
  );
}
