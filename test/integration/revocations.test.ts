import { X509Certificate } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { prepareWithCli } from "../support/cli.ts";
import { isSignedBy, readRevocations, type ReadList } from "../support/revocation-list.ts";
import { createRequest, startPlane, type Approved, type Harness, type KeyWithRequest } from "./plane-harness.ts";

let harness: Harness;
beforeAll(async () => {
  harness = await startPlane();
});
afterAll(() => harness[Symbol.asyncDispose]());

interface Issued {
  readonly name: string;
  readonly key: string;
  readonly cert: string;
}
/** All that were issued here. */
const issued: Issued[] = [];

async function enrol(name: string, device: string, { key, csr }: KeyWithRequest): Promise<Issued> {
  const token = await harness.createToken();
  const json = { token, device, csr, profile: "generic-x86" };
  const { body } = await harness.call<Approved>("POST", "/api/v1/enrol", { token: null, json });
  issued.push({ name, key, cert: body.certificate });
  return issued.at(-1) as Issued;
}

async function renew(name: string, identity: Issued): Promise<Issued> {
  const { key, csr } = await createRequest();
  const call = { token: null, identity, json: { csr } };
  const { body } = await harness.call<{ certificate: string }>("POST", "/api/v1/device/certificate", call);
  issued.push({ name, key, cert: body.certificate });
  return issued.at(-1) as Issued;
}

/** The first use of a certificate that waits is what ends the one before it. */
const use = async (identity: Issued): Promise<number> =>
  (await harness.call("GET", "/api/v1/device/certificate", { token: null, identity })).status;

async function read(): Promise<Omit<ReadList, "serials"> & { readonly listed: string[] }> {
  const { list, serials, devices } = await readRevocations(harness.plane);
  const listed = issued.filter(({ cert }) => serials.has(new X509Certificate(cert).serialNumber.toLowerCase()));
  expect(serials.size, "nothing else is on the list").toBe(listed.length);
  return { listed: listed.map(({ name }) => name), devices, list };
}

it("is signed by the plane's authority, has a number, a week to go, and says nothing while nothing ended", async () => {
  await enrol("a1", "cam-a", await createRequest());
  const { list, listed, devices } = await read();
  expect({ listed, devices }).toEqual({ listed: [], devices: [] });
  expect(await isSignedBy(list, harness.ca)).toBe(true);
  expect(list.getExtension("2.5.29.20")).not.toBeNull();
  expect(list.getExtension("2.5.29.35")).not.toBeNull();
  const days = ((list.nextUpdate?.getTime() ?? 0) - Date.now()) / 86_400_000;
  expect(days).toBeCloseTo(7, 1);
  expect(list.thisUpdate.getTime()).toBeLessThan(Date.now() - 86_400_000);
});

it("names what the plane refuses and nothing that it admits, whatever becomes of a device", async () => {
  const request = await createRequest();
  const first = await enrol("b1", "cam-b", request);
  const lost = await renew("b2", first);
  expect((await read()).listed).toEqual([]);
  // Asked again before the answer was used: the one that was lost never counts.
  const second = await renew("b3", first);
  expect((await read()).listed).toEqual(["b2"]);
  expect(await use(second)).toBe(200);
  expect((await read()).listed).toEqual(["b1", "b2"]);
  // Enrolled again with the first key, and not used yet: both count.
  const again = await enrol("b4", "cam-b", request);
  expect((await read()).listed).toEqual(["b1", "b2"]);
  expect(await use(again)).toBe(200);
  expect((await read()).listed).toEqual(["b1", "b2", "b3"]);
  await prepareWithCli(
    ["devices", "decommission", "cam-b", "--force", "--reason", "stolen", "--yes"],
    harness.plane.cliEnv,
  );
  const { listed, devices } = await read();
  expect({ listed, devices }).toEqual({ listed: ["b1", "b2", "b3", "b4"], devices: ["cam-b"] });
  await enrol("b5", "cam-b", await createRequest());
  expect(await read()).toMatchObject({ listed: ["b1", "b2", "b3", "b4"], devices: [] });
  for (const one of issued) expect(await use(one), one.name).toBe(listed.includes(one.name) ? 401 : 200);
  expect(await use(lost)).toBe(401);
});

it("is the same list until something ends, also over the plane's restart but for its signature", async () => {
  const tagOf = async () => (await harness.call("GET", "/api/v1/revocations")).headers["etag"];
  const before = await tagOf();
  expect(before).toMatch(/^"[0-9a-f-]{36}"$/u);
  expect(await tagOf()).toBe(before);
  const { listed } = await read();
  await harness.plane.process.kill();
  await harness.plane.start();
  expect((await read()).listed).toEqual(listed);
  const rest = await harness.call("GET", "/api/v1/revocations", {
    headers: { "if-none-match": String(await tagOf()) },
  });
  expect(rest.status).toBe(304);
});
