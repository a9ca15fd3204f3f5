import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Alert, AuditEntry } from "@fairlead/protocol";
import { afterAll, beforeAll, expect, it } from "vitest";
import { runWarmCli } from "../support/cli.ts";
import { createEnrolmentToken, TestDevice } from "../support/device.ts";
import { eventually } from "../support/eventually.ts";
import { TestPlane } from "../support/plane.ts";

const dir = mkdtempSync(join(tmpdir(), "fairlead-two-planes-"));
const plane = new TestPlane({ dir: join(dir, "plane") });
const device = new TestDevice({ name: "cam-1", dir: join(dir, "cam-1"), labels: {}, telemetryWindowMs: 300 });

beforeAll(async () => {
  await plane.start();
  await device.enrol(plane, await createEnrolmentToken(plane, 1));
});
afterAll(async () => {
  await device[Symbol.asyncDispose]();
  await plane[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

const listForks = async (of: TestPlane): Promise<Alert[]> =>
  (await of.get<{ items: Alert[] }>("/api/v1/alerts?limit=100")).items.filter(({ kind }) => kind === "plane-forked");
const isOnline = (of: TestPlane) => async () => (await of.device("cam-1")).online;

it("says so on either plane when a device meets the plane and a copy of its data folder in turn, and stays quiet before", async () => {
  device.run();
  await eventually("it is online", isOnline(plane));
  await plane.process.kill("SIGTERM");
  const copyDir = join(dir, "copy-of-plane");
  cpSync(plane.dir, copyDir, { recursive: true });

  // Restarts alone, clean ones and others, are one line.
  await plane.start();
  await eventually("it is online after a restart", isOnline(plane));
  await plane.process.kill("SIGKILL");
  await plane.start();
  await eventually("it is online after a kill", isOnline(plane));
  expect(await listForks(plane)).toEqual([]);

  const port = (url: string): string => new URL(url).port;
  const ports = ["--http-port", port(plane.url), "--mqtt-port", port(plane.mqttUrl.replace("mqtts:", "https:"))];
  await plane.process.kill("SIGKILL");
  await using copy = new TestPlane({ dir: copyDir, args: [...ports, "--new-admin-token"] });
  await copy.start();
  const [alert] = await eventually("the copy hears of it", async () => {
    const alerts = await listForks(copy);
    return alerts.length > 0 && alerts;
  });
  expect(alert).toMatchObject({ state: "firing", summary: expect.stringContaining("does not remember") });
  // It has every key, so it is obeyed: the device says what it saw, and goes on.
  expect(await copy.device("cam-1")).toMatchObject({ cloned: null, online: true });

  await copy.process.kill("SIGKILL");
  await plane.start();
  await eventually("and so does the first one", async () => (await listForks(plane)).length === 1);
  const audit = await plane.get<{ items: { action: string }[] }>("/api/v1/audit?subject=cam-1&limit=200");
  expect(audit.items.some(({ action }) => action === "plane.forked")).toBe(true);

  // Only a person can know that the other one is gone: an administrator says so, with the reason.
  const [fork] = await listForks(plane);
  const id = fork?.alertId ?? "";
  const resolve = (env: Record<string, string>, ...more: string[]) =>
    runWarmCli(["alerts", "resolve", id, "--reason", "the copy was a restored backup, and is destroyed", ...more], env);
  const operator = await runWarmCli(["tokens", "create", "--role", "operator", "-o", "json"], plane.cliEnv);
  const { token } = JSON.parse(operator.stdout) as { token: string };
  expect(await resolve({ ...plane.cliEnv, FAIRLEAD_TOKEN: token }, "--yes")).toMatchObject({ code: 4 });
  expect((await listForks(plane))[0]?.state).toBe("firing");
  expect(await resolve(plane.cliEnv, "--yes")).toMatchObject({ code: 0 });
  expect(await listForks(plane)).toMatchObject([{ state: "resolved", resolvedAtMs: expect.any(Number) }]);
  expect(await resolve(plane.cliEnv, "--yes")).toMatchObject({ code: 0 });
  const said = (await plane.get<{ items: AuditEntry[] }>(`/api/v1/audit?subject=${id}&limit=10`)).items;
  expect(said).toMatchObject([
    {
      action: "alert.resolve",
      reason: "the copy was a restored backup, and is destroyed",
      details: { kind: "plane-forked", device: null, before: "firing", after: "resolved" },
    },
  ]);

  // The next fork is another alert.
  await plane.process.kill("SIGKILL");
  await copy.start();
  await eventually("it meets the copy again", isOnline(copy));
  await copy.process.kill("SIGKILL");
  await plane.start();
  await eventually("a new one fires", async () => (await listForks(plane)).some(({ state }) => state === "firing"));
}, 240_000);
