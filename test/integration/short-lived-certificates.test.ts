import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createEnrolmentToken, TestDevice } from "../support/device.ts";
import { askAsDevice } from "../support/ask-as-device.ts";
import { eventually } from "../support/eventually.ts";
import { TestPlane } from "../support/plane.ts";

const dir = mkdtempSync(join(tmpdir(), "fairlead-short-"));
const lifeMs = 45_000;
const plane = new TestPlane({
  dir: join(dir, "plane"),
  args: ["--device-cert-ttl", `${lifeMs / 1_000}s`, "--offline-after", "2"],
});
const device = new TestDevice({ name: "cam-1", dir: join(dir, "cam-1"), labels: {}, telemetryWindowMs: 500 });
const readCertificate = (): X509Certificate =>
  new X509Certificate(readFileSync(join(device.dataDir, "identity", "device.crt")));
/** What the plane answers to the certificate that lies on the device. */
const askAsItself = (): Promise<number> => askAsDevice(plane.url, join(device.dataDir, "identity"));
const endsAtMs = (): number => readCertificate().validToDate.getTime();

beforeAll(async () => {
  await plane.start();
  await device.enrol(plane, await createEnrolmentToken(plane, 1));
}, 120_000);
afterAll(async () => {
  await device[Symbol.asyncDispose]();
  await plane[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

it("are renewed in what is left when the plane was down for most of their life, and when it is too late there is a way back", async () => {
  device.run();
  await eventually("it is online", async () => (await plane.device("cam-1")).online);
  await plane.process.kill("SIGKILL");
  const endMs = endsAtMs();
  expect(endMs - Date.now()).toBeLessThanOrEqual(lifeMs);
  // Two thirds of the life pass without a plane.
  await eventually("most of its life is over", () => Date.now() > endMs - lifeMs / 3, lifeMs);
  expect(endsAtMs()).toBe(endMs);
  await plane.start();
  await eventually("it is renewed in what is left", () => endsAtMs() > endMs, lifeMs / 3);
  expect(Date.now()).toBeLessThan(endMs);
  await eventually("the old one is over", () => Date.now() > endMs);
  await eventually("it is online with the new one", async () => (await plane.device("cam-1")).online);

  await plane.process.kill("SIGKILL");
  const lateMs = endsAtMs();
  await eventually("the whole life passes", () => Date.now() > lateMs, 2 * lifeMs);
  await plane.start();
  expect(await askAsItself()).toBe(401);
  expect(await plane.device("cam-1")).toMatchObject({ lifecycle: "enrolled", online: false });
  expect(device.process.running).toBe(true);
  await device.process.kill("SIGTERM");
  await device.enrol(plane, await createEnrolmentToken(plane, 1));
  device.run();
  await eventually("it is back with a new token and its own key", async () => (await plane.device("cam-1")).online);
}, 420_000);
