import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import type { RolloutStatus, RolloutSummary } from "@fairlead/protocol";
import Database from "better-sqlite3";
import { runCliJson } from "../support/cli.ts";
import { createEnrolmentToken, TestDevice } from "../support/device.ts";
import { eventually } from "../support/eventually.ts";
import { TestPlane } from "../support/plane.ts";
import { publishDigitReader } from "../support/publish.ts";
import { toQuantile, type Row } from "./measure.ts";

const count = 5_000;
const original = "cam-0";

/** Rolls a version out to everything in one stage. */
async function rollOut(plane: TestPlane, version: string): Promise<string> {
  const what = ["--model", "digit-reader", "--version", version, "--slot", "reader", "--selector", "site=lab"];
  const how = ["--stages", "all=100%", "--soak", "0s", "--device-soak", "0s"];
  const made = await runCliJson<RolloutStatus>(["rollouts", "create", ...what, ...how], plane.cliEnv);
  return made.rolloutId;
}

/** As many devices as that one, all away: what the plane knows of each is what it knows of a real one. */
function multiply(folder: string): void {
  const db = new Database(join(folder, "data", "plane.db"));
  const tables = ["devices", "device_slots", "desired_documents"] as const;
  const copy = (table: (typeof tables)[number]): ((name: string) => void) => {
    const columns = (db.pragma(`table_info(${table})`) as { name: string }[]).map(({ name }) => name);
    const values = columns.map((column) => {
      if (column === "device") return "@name";
      if (column === "document") return `replace("document", '"${original}"', '"' || @name || '"')`;
      return column.startsWith("certificate") || column === "identityKey" ? "NULL" : `"${column}"`;
    });
    const into = columns.map((column) => `"${column}"`).join();
    const statement = db.prepare(
      `INSERT INTO ${table} (${into}) SELECT ${values.join()} FROM ${table} WHERE device = ?`,
    );
    return (name) => void statement.run({ name }, original);
  };
  try {
    const copies = tables.map(copy);
    db.transaction(() => {
      for (let index = 1; index < count; index += 1) for (const one of copies) one(`cam-${index}`);
    })();
  } finally {
    db.close();
  }
}

/** Asks again and again until it is told to stop. @returns milliseconds of each */
async function keepAsking(ask: () => Promise<unknown>, isOver: () => boolean): Promise<number[]> {
  const times: number[] = [];
  while (!isOver()) {
    const beganAtMs = performance.now();
    await ask();
    times.push(performance.now() - beganAtMs);
    await setTimeout(50);
  }
  return times;
}

/** One stage of a whole fleet: how many devices the plane asks in a second, and what everybody else notices of it. */
export async function benchFleet(): Promise<Row[]> {
  const dir = mkdtempSync(join(tmpdir(), "fairlead-fleet-bench-"));
  const plane = new TestPlane({ dir: join(dir, "plane") });
  try {
    await plane.start();
    for (const version of ["1.0.0", "1.1.0"] as const) await publishDigitReader(plane, version);
    const device = new TestDevice({ name: original, dir: join(dir, original), labels: { site: "lab" } });
    await device.enrol(plane, await createEnrolmentToken(plane, 1));
    device.run();
    const first = await rollOut(plane, "1.0.0");
    await eventually("it runs 1.0.0", async () => (await plane.rollout(first)).state === "succeeded", 60_000);
    await device[Symbol.asyncDispose]();
    await plane.process.kill("SIGTERM");
    multiply(plane.dir);
    await plane.start();
    return await measure(plane);
  } finally {
    await plane[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true, force: true });
  }
}

async function measure(plane: TestPlane): Promise<Row[]> {
  let isOver = false;
  const beganAtMs = performance.now();
  await rollOut(plane, "1.1.0");
  const reading = keepAsking(
    () => plane.device(original),
    () => isOver,
  );
  const writing = keepAsking(
    async () => {
      const { status } = await plane.post("/api/v1/enrolments/tokens", {});
      if (status !== 201) throw new Error(`a token was refused: ${status}`);
    },
    () => isOver,
  );
  const countOffered = async (): Promise<number> => {
    const { items } = await plane.get<{ items: RolloutSummary[] }>("/api/v1/rollouts?limit=1");
    return items[0]?.stages[0]?.counts.offered ?? 0;
  };
  while ((await countOffered()) < count) await setTimeout(1_000);
  const tookS = (performance.now() - beganAtMs) / 1_000;
  isOver = true;
  const toRow = (name: string, value: string): Row => ({
    ...{ name, value, against: `${count} devices` },
    ...{ ratio: "", bound: "no bound", held: true },
  });
  const toTimes = (times: readonly number[]): string =>
    `${toQuantile(times, 0.5).toFixed(0)} ms, the longest ${Math.max(...times).toFixed(0)} ms`;
  return [
    toRow("devices that one stage asks in a second (for information)", `${(count / tookS).toFixed(0)}/s`),
    toRow("what somebody else waits to read meanwhile, p50 (for information)", toTimes(await reading)),
    toRow("what somebody else waits to write meanwhile, p50 (for information)", toTimes(await writing)),
  ];
}
