import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AuditEntry } from "@fairlead/protocol";
import { Agent, request } from "undici";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createEnrolmentToken, TestDevice } from "../support/device.ts";
import { eventually } from "../support/eventually.ts";
import { TestPlane } from "../support/plane.ts";

const dir = mkdtempSync(join(tmpdir(), "fairlead-renewal-"));
// One day, of a life that begins two days ago: the last third begins at once.
const plane = new TestPlane({ dir: join(dir, "plane"), args: ["--device-cert-ttl", "1"] });
const device = new TestDevice({ name: "cam-1", dir: join(dir, "cam-1"), labels: {}, telemetryWindowMs: 500 });
const read = (file: string): string => readFileSync(join(device.dataDir, "identity", file), "utf8");

beforeAll(async () => {
  await plane.start();
  await device.enrol(plane, await createEnrolmentToken(plane, 1));
});
afterAll(async () => {
  await device[Symbol.asyncDispose]();
  await plane[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

async function ask(cert: string, path = "/api/v1/device/certificate"): Promise<{ status: number; text: string }> {
  const dispatcher = new Agent({ connect: { ca: read("ca.pem"), key: read("device.key"), cert } });
  try {
    const answer = await request(`${plane.url}${path}`, { dispatcher });
    return { status: answer.statusCode, text: await answer.body.text() };
  } finally {
    await dispatcher.close();
  }
}

async function readActions(): Promise<string[]> {
  const { items } = await plane.get<{ items: AuditEntry[] }>("/api/v1/audit?limit=200");
  return items.map(({ action }) => action).filter((action) => action.includes("certificate"));
}

it("is renewed over the present one, ends the old one at its first use, and survives a kill on either side", async () => {
  const first = read("device.crt");
  expect((await ask(first)).status).toBe(200);
  device.run();
  await eventually("the certificate is renewed", async () =>
    (await readActions()).includes("device.renew-certificate"),
  );
  const second = read("device.crt");
  expect(second).not.toBe(first);
  expect(await ask(first)).toMatchObject({ status: 401, text: expect.stringContaining("not in force") });
  expect(JSON.parse((await ask(second)).text)).toMatchObject({ notAfterMs: expect.any(Number) });
  await eventually("the device is back with the new one, and well", async () => {
    const { online, integrity, lifecycle } = await plane.device("cam-1");
    return online && integrity === "verified" && lifecycle === "enrolled";
  });

  await device.process.kill("SIGKILL");
  await plane.process.kill("SIGKILL");
  await plane.start();
  device.run();
  await eventually("it is online after both were killed", async () => (await plane.device("cam-1")).online);
  await eventually("and was renewed once more", async () => {
    const count = (await readActions()).filter((action) => action === "device.renew-certificate").length;
    return count === 2 && read("device.crt") !== second;
  });
  expect((await ask(second)).status).toBe(401);
  expect((await ask(read("device.crt"))).status).toBe(200);
}, 90_000);
