import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { connect, type TLSSocket } from "node:tls";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AuditEntry } from "@fairlead/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  createTelemetry,
  enrol,
  RawDevice,
  startPlane,
  type Harness,
  type Identity,
} from "../integration/plane-harness.ts";
import { eventually } from "../support/eventually.ts";
import { toSettableClock, whyNoShiftedClock } from "../support/shifted-clock.ts";

const reason = whyNoShiftedClock();

/** Serial of what the port presents to who comes now, checked against the plane's authority at the true time. */
function readSerial(url: string, harness: Harness): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port), ca: harness.ca, servername: "localhost" }, () => {
      resolve(socket.getPeerCertificate().serialNumber);
      socket.destroy();
    });
    socket.on("error", reject);
  });
}

/** One request on the connection that the agent keeps. */
function ask(agent: Agent, harness: Harness): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const sent = request(`${harness.plane.url}/healthz`, { agent, ca: harness.ca }, (answer) => {
      const { socket } = answer;
      answer.resume().on("end", () => resolve(socket as TLSSocket));
    });
    sent.on("error", reject).end();
  });
}

describe.skipIf(reason !== undefined)(
  `a plane that is up for longer than its certificate lives${reason === undefined ? "" : ` (skipped: ${reason})`}`,
  () => {
    const folder = mkdtempSync(join(tmpdir(), "fairlead-clock-file-"));
    const clock = join(folder, "offset");
    let harness: Harness;
    let identity: Identity;

    beforeAll(async () => {
      writeFileSync(clock, "-350d");
      // Its devices' certificates outlive the year that passes.
      harness = await startPlane(["--device-cert-ttl", "800"], toSettableClock(clock));
      identity = await enrol(harness, "cam-1");
    });
    afterAll(async () => {
      await harness[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    });

    it("renews it for HTTPS and MQTT without dropping a session or a connection", async () => {
      const { plane } = harness;
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      await using device = await RawDevice.connect(harness, identity);
      await device.birth();
      const kept = await ask(agent, harness);
      const first = await readSerial(plane.url, harness);
      expect(await readSerial(plane.mqttUrl, harness)).toBe(first);

      writeFileSync(clock, "+0d");
      const second = await eventually("HTTPS has another certificate", async () => {
        const serial = await readSerial(plane.url, harness);
        return serial !== first && serial;
      });
      expect(await readSerial(plane.mqttUrl, harness)).toBe(second);

      expect(await ask(agent, harness)).toBe(kept);
      expect(kept.getPeerCertificate().serialNumber).toBe(first);
      await device.send("telemetry", createTelemetry(1));
      await device.acknowledged(1);
      expect(device.client.connected).toBe(true);
      agent.destroy();

      const { items } = await plane.get<{ items: AuditEntry[] }>("/api/v1/audit?limit=200");
      expect(items.filter(({ action }) => action === "plane.renew-certificate")).toEqual([
        expect.objectContaining({
          actor: "plane:authority",
          details: expect.objectContaining({
            before: expect.objectContaining({ serial: first.toLowerCase() }),
            after: expect.objectContaining({ serial: second.toLowerCase() }),
          }),
        }),
      ]);
    });

    it("keeps the new one over a start", async () => {
      const before = await readSerial(harness.plane.url, harness);
      await harness.plane.process.kill("SIGKILL");
      await harness.plane.start({});
      expect(await readSerial(harness.plane.url, harness)).toBe(before);
    });
  },
);
