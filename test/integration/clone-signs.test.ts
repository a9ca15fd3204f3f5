import { join } from "node:path";
import type { Alert, AuditEntry, DeviceDetail } from "@fairlead/protocol";
import { openStore, type Device } from "@fairlead/store";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../support/eventually.ts";
import {
  createRequest,
  createTelemetry,
  enrol,
  RawDevice,
  startPlane,
  type Harness,
  type Identity,
} from "./plane-harness.ts";

/** More than what is late may take. */
const laterMs = 61_000;
const [own, copied] = ["a".repeat(24), "b".repeat(24)];

let harness: Harness;
beforeAll(async () => {
  harness = await startPlane();
  // A fifth of the fleet may be in quarantine at most.
  await Promise.all(Array.from({ length: 40 }, (_, index) => enrol(harness, `bystander-${index}`)));
});
afterAll(() => harness[Symbol.asyncDispose]());

type Watch = NonNullable<Device["identityWatch"]>;

/** As if the plane had last heard of anybody's certificates and queues a while ago. */
function toAged(watch: Watch): Watch {
  const age = (turns: Watch["endedEpochs"] = []) => turns.map((turn) => ({ ...turn, untilMs: turn.untilMs - laterMs }));
  return { ...watch, endedCertificates: age(watch.endedCertificates), endedEpochs: age(watch.endedEpochs) };
}

async function passTime(): Promise<void> {
  const { plane, dir } = harness;
  await plane.process.kill("SIGKILL");
  const store = openStore({ folder: join(dir, "data"), nowMs: Date.now() });
  await store.transaction(async (tx) => {
    for (const { device, identityWatch } of await tx.devices.list())
      if (identityWatch !== null) await tx.devices.update(device, { identityWatch: toAged(identityWatch) });
  });
  await store.close();
  await plane.start();
}

/** A certificate for another key, asked for with this one; it counts from its first use on. */
async function renew({ key, cert, answer }: Identity): Promise<Identity> {
  const request = await createRequest();
  const { status, body } = await harness.call<{ certificate: string }>("POST", "/api/v1/device/certificate", {
    ...{ token: null, json: { csr: request.csr }, identity: { key, cert } },
  });
  expect(status).toBe(201);
  return { key: request.key, cert: body.certificate, answer };
}

async function ask({ key, cert }: Identity): Promise<number> {
  const answer = await harness.call("GET", "/api/v1/device/certificate", { token: null, identity: { key, cert } });
  return answer.status;
}

const isRefused = (identity: Identity): Promise<boolean> =>
  RawDevice.connect(harness, identity).then(
    () => false,
    () => true,
  );

async function speak(device: RawDevice, seq: number, birth: { epoch?: string; [more: string]: unknown }) {
  const { epoch = "epoch0001" } = birth;
  await device.birth({ instance: own, ...birth });
  await device.send("telemetry", createTelemetry(seq, { epoch }));
  await device.acknowledged(seq, epoch);
}

async function listAlerts(device: string): Promise<string[]> {
  const { items } = await harness.plane.get<{ items: Alert[] }>("/api/v1/alerts?limit=100");
  return items.filter((alert) => alert.device === device && alert.state === "firing").map(({ kind }) => kind);
}

/** In quarantine, with one alert and one entry, for this reason. */
async function expectCloned(device: string, code: string): Promise<DeviceDetail> {
  const seen = await harness.plane.device(device);
  expect(seen).toMatchObject({
    lifecycle: "quarantined",
    cloned: { code, evidence: [expect.any(String), expect.any(String)] },
  });
  expect(await listAlerts(device)).toEqual(["identity-cloned"]);
  const { items } = await harness.plane.get<{ items: AuditEntry[] }>(`/api/v1/audit?subject=${device}&limit=200`);
  expect(items.filter(({ action }) => action === "device.clone-detected")).toMatchObject([{ details: { code } }]);
  return seen;
}

async function expectWell(device: string): Promise<void> {
  expect(await harness.plane.device(device)).toMatchObject({ lifecycle: "enrolled", cloned: null });
  expect(await listAlerts(device)).toEqual([]);
}

const isQuarantined = async (device: string): Promise<boolean> =>
  (await harness.plane.device(device)).lifecycle === "quarantined";

describe("a device whose key was copied and renewed by the thief", () => {
  it("is quarantined once when its own certificate is shown later, over MQTT or HTTPS, and not for what was under way", async () => {
    const [overMqtt, overHttps] = [await enrol(harness, "cam-mqtt"), await enrol(harness, "cam-https")];
    for (const identity of [overMqtt, overHttps]) {
      expect(await ask(await renew(identity))).toBe(200);
      expect([await isRefused(identity), await ask(identity)]).toEqual([true, 401]);
      await expectWell(identity.answer.device);
    }
    await passTime();
    expect(await isRefused(overMqtt)).toBe(true);
    expect(await ask(overHttps)).toBe(401);
    for (const identity of [overMqtt, overHttps]) {
      const { device } = identity.answer;
      const { cloned } = await expectCloned(device, "superseded_certificate_used");
      expect([await isRefused(identity), await ask(identity)]).toEqual([true, 401]);
      expect((await expectCloned(device, "superseded_certificate_used")).cloned).toEqual(cloned);
    }
  });
});

describe("a device whose key is used by a thief while it is away", () => {
  it("is quarantined at its first word, though the thief sends no evidence and says nothing of itself", async () => {
    const identity = await enrol(harness, "cam-away");
    await using before = await RawDevice.connect(harness, identity);
    await speak(before, 1, {});
    await before.client.endAsync();
    await using thief = await RawDevice.connect(harness, identity);
    await thief.send("telemetry", createTelemetry(1, { epoch: "epoch0002" }));
    await thief.acknowledged(1, "epoch0002");
    await thief.client.endAsync();
    await passTime();
    await expectWell("cam-away");
    await using device = await RawDevice.connect(harness, identity);
    await speak(device, 2, {});
    await expectCloned("cam-away", "epoch_returned");
  });
});

/** What a thief says of itself beside the device, whose turns are the same. */
const thieves = [
  {
    what: "tells no process",
    name: "cam-nameless",
    says: { instance: undefined, epoch: "epoch0002" },
    codes: ["session_contended", "instances_alternate"],
  },
  {
    what: "repeats the device's process",
    name: "cam-repeated",
    says: { instance: own, epoch: "epoch0002" },
    codes: ["session_contended"],
  },
  {
    what: "tells another process",
    name: "cam-other",
    says: { instance: copied },
    codes: ["session_contended", "instances_alternate"],
  },
  { what: "says nothing at all", name: "cam-mute", says: null, codes: ["session_contended"] },
] as const;

describe("a device beside which a copy is connected", () => {
  it.each(thieves)("is quarantined when the copy $what", async ({ name, says, codes }) => {
    const identity = await enrol(harness, name);
    await using open = new AsyncDisposableStack();
    const connect = async (): Promise<RawDevice> => {
      const device = open.use(await RawDevice.connect(harness, identity));
      device.client.on("error", () => undefined);
      return device;
    };
    let turn = 0;
    for (; turn < 12 && !(await isQuarantined(name)); turn += 1) {
      // Once the fight is known, whoever has the session keeps it.
      const device = await connect().catch(() => undefined);
      if (device === undefined) continue;
      // Each counts its own connections.
      const session = Math.floor(turn / 2) + 1;
      if (turn % 2 === 0) await speak(device, turn / 2 + 1, { session });
      else if (says !== null) await device.birth({ ...says, session });
    }
    const { cloned } = await harness.plane.device(name);
    expect(codes).toContain(cloned?.code);
    await expectCloned(name, cloned?.code ?? "");
    expect(await isRefused(identity)).toBe(true);
    const path = `/api/v1/audit?subject=${encodeURIComponent(`connection ${name}`)}&limit=20`;
    await eventually("the log says why", async () => {
      const { items } = await harness.plane.get<{ items: AuditEntry[] }>(path);
      return items.some(({ reason }) => reason === "another connection of this device keeps the session");
    });
  });
});

describe("an honest device", () => {
  it("is well when it lost power before its new certificate was saved, and with its old one under way when it was used", async () => {
    const identity = await enrol(harness, "cam-renews");
    const lost = await renew(identity);
    await passTime();
    expect(await ask(identity)).toBe(200);
    const renewed = await renew(identity);
    expect(await ask(lost)).toBe(401);
    await using device = await RawDevice.connect(harness, renewed);
    expect([await ask(identity), await isRefused(identity)]).toEqual([401, true]);
    await speak(device, 1, {});
    await passTime();
    expect([await ask(renewed), await ask(lost)]).toEqual([200, 401]);
    await expectWell("cam-renews");
  });

  it("is well when its connections break again and again, some of them unnoticed by the plane", async () => {
    const identity = await enrol(harness, "cam-flaps");
    await using open = new AsyncDisposableStack();
    let session = 0;
    const connect = async (): Promise<RawDevice> => {
      session += 1;
      const device = open.use(await RawDevice.connect(harness, identity, session));
      device.client.on("error", () => undefined);
      await speak(device, session, { session });
      return device;
    };
    for (const _ of Array.from({ length: 12 })) await connect();
    for (const _ of [1, 2, 3, 4, 5, 6, 7, 8]) {
      const device = await connect();
      device.client.stream.destroy();
      await eventually("the plane notices", async () => !(await harness.plane.device("cam-flaps")).online);
    }
    await expectWell("cam-flaps");
  });
});
