import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger, type LogFields } from "@fairlead/kernel";
import { afterAll, expect, it } from "vitest";
import { systemClock } from "../system-clock.ts";
import { ServingHost, type ServingExit, type ServingHostOptions } from "./serving-host.ts";

const dir = mkdtempSync(join(tmpdir(), "fairlead-host-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

interface Watched {
  readonly host: ServingHost;
  readonly exits: ServingExit[];
  readonly delaysMs: unknown[];
  ready: number;
}

function watch(entry: string, rest: Partial<ServingHostOptions> = {}): Watched {
  const host = new ServingHost({
    entry: new URL(`./testing/${entry}`, import.meta.url),
    config: { address: { kind: "tcp", host: "127.0.0.1", port: 0 }, inflightPath: join(dir, "inflight") },
    readInflight: () => [],
    clock: systemClock,
    logger: { ...silentLogger, warn: (_message, { delayMs } = {}) => void watched.delaysMs.push(delayMs) },
    random: () => 0.1,
    onReady: () => void (watched.ready += 1),
    onExit: (exit) => void watched.exits.push(exit),
    ...rest,
  });
  const watched: Watched = { host, exits: [], delaysMs: [], ready: 0 };
  return watched;
}

it("ends a process that never answers a load, says which one hung, and starts another", async () => {
  const watched = watch("silent-process.ts");
  const { host, exits } = watched;
  await host.start();
  await expect.poll(() => watched.ready, { timeout: 10_000 }).toBe(1);
  const identity = { loadId: "a", slot: "s", model: "m", version: "1.0.0", path: "/nowhere", sizeBytes: 1 };
  const load = {
    kind: "load",
    ...identity,
    digest: "sha256:00",
    classification: null,
    threads: 1,
    deadlineMs: 1,
  } as const;
  const asked = host.request(load, 300).catch((error: unknown) => ({ error, exits: exits.length }));
  // Who asked is told once the process is gone, so that it can look at how it ended.
  expect(await asked).toMatchObject({
    error: { code: "serving_timeout", message: "load took longer than 300 ms" },
    exits: 1,
  });
  expect(exits).toMatchObject([
    { exit: "SIGKILL", cause: "hang", hungLoadId: "a", hungSinceMs: 300, beforeReady: false },
  ]);
  await expect.poll(() => watched.ready, { timeout: 10_000 }).toBe(2);
  expect(await host.request({ kind: "ping" })).toEqual({});
  await host.stop();
}, 30_000);

it("begins the next process before it tells of the end of one, which may take time to save", async () => {
  const pids: (number | null)[] = [];
  const watched = watch("silent-process.ts", { onExit: () => void pids.push(watched.host.pid) });
  await watched.host.start();
  await expect.poll(() => watched.ready, { timeout: 10_000 }).toBe(1);
  const first = watched.host.pid;
  process.kill(first ?? 0, "SIGKILL");
  await expect.poll(() => watched.ready, { timeout: 10_000 }).toBe(2);
  expect(pids).toEqual([watched.host.pid]);
  expect(pids).not.toEqual([first]);
  await watched.host.stop();
}, 30_000);

it("tells how a process ended before it answers who could not ask it any more", async () => {
  const watched = watch("silent-process.ts");
  const { host, exits } = watched;
  await host.start();
  await expect.poll(() => watched.ready, { timeout: 10_000 }).toBe(1);
  process.kill(host.pid ?? 0, "SIGKILL");
  // It is gone by the end of this, and nothing of that was heard here.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
  const asked = host
    .request({ kind: "unload", loadId: "a" })
    .catch((error: unknown) => ({ error, exits: exits.length }));
  expect(await asked).toMatchObject({ error: { code: "serving_exited" }, exits: 1 });
  expect(exits).toMatchObject([{ exit: "SIGKILL", cause: "crash" }]);
  await expect.poll(() => watched.ready, { timeout: 10_000 }).toBe(2);
  await host.stop();
}, 30_000);

it("starts a process again at once, then after longer and longer waits; one that held out long enough begins anew", async () => {
  const loop = watch("dying-process.ts");
  await loop.host.start();
  await expect.poll(() => loop.exits.length, { timeout: 20_000 }).toBe(5);
  await loop.host.stop();
  // 100 ms and a tenth of 250 ms × 2, × 4, × 8 …: `random` is 0.1 here.
  expect(loop.delaysMs).toEqual([0, 150, 200, 300, 500]);
  expect(loop.exits.map(({ restarts }) => restarts)).toEqual([1, 2, 3, 4, 5]);
  const steady = watch("dying-process.ts", { timings: { steadyMs: 0 } });
  await steady.host.start();
  await expect.poll(() => steady.exits.length, { timeout: 20_000 }).toBe(3);
  await steady.host.stop();
  expect(steady.delaysMs).toEqual([0, 0, 0]);
}, 50_000);

it("tells a reason for which the process cannot start once, and that it does again, while it tries on", async () => {
  const told: unknown[] = [];
  const errors: LogFields[] = [];
  const file = join(dir, "refused");
  writeFileSync(file, "");
  const watched = watch("refusing-process.ts", {
    config: { address: { kind: "unix", socketPath: file }, inflightPath: join(dir, "inflight") },
    logger: { ...silentLogger, error: (_message, fields = {}) => void errors.push(fields) },
    onTrouble: (trouble) => void told.push(trouble),
  });
  await watched.host.start();
  await expect.poll(() => watched.exits.length, { timeout: 20_000 }).toBeGreaterThan(2);
  expect(watched.host.trouble).toBe("port_taken: it is taken. Take another.");
  expect(watched.exits.every(({ beforeReady }) => beforeReady)).toBe(true);
  rmSync(file);
  await expect.poll(() => watched.ready, { timeout: 20_000 }).toBe(1);
  expect(watched.host.trouble).toBeNull();
  await watched.host.stop();
  expect(told).toEqual([{ code: "port_taken", message: "it is taken", hint: "Take another." }, null]);
  expect(errors).toEqual([{ code: "port_taken", reason: "it is taken", hint: "Take another." }]);
}, 50_000);
