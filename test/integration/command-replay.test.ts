import { openBroker, type Broker } from "@fairlead/bus/broker";
import { signedCommandSchema, toPayload, toTopic, type AuditEntry, type SignedCommand } from "@fairlead/protocol";
import BetterSqlite3 from "better-sqlite3";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCliJson } from "../support/cli.ts";
import { createEnrolmentToken, TestDevice } from "../support/device.ts";
import { eventually } from "../support/eventually.ts";
import { TestPlane } from "../support/plane.ts";
import { publishDigitReader } from "../support/publish.ts";
import { enrol, RawDevice, startPlane } from "./plane-harness.ts";

const dir = mkdtempSync(join(tmpdir(), "fairlead-replay-"));
const plane = new TestPlane({ dir: join(dir, "plane") });

beforeAll(async () => {
  await plane.start();
  await publishDigitReader(plane, "1.1.0");
}, 120_000);
afterAll(async () => {
  await plane[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

/** What whoever carries the messages may have kept of them. */
function readCommands(folder: string, device: string): SignedCommand[] {
  const sqlite = new BetterSqlite3(join(folder, "data", "plane.db"), { readonly: true });
  try {
    return sqlite
      .prepare<[string], string>("SELECT document FROM commands WHERE device = ? ORDER BY issuedAtMs")
      .pluck()
      .all(device)
      .map((text) => signedCommandSchema.parse(JSON.parse(text)));
  } finally {
    sqlite.close();
  }
}

/** Somebody's broker in the place of the plane's: it has a certificate that devices believe, and no key that signs. */
async function openForeignBroker(onReply: (reply: Record<string, unknown>) => void): Promise<Broker> {
  const read = (name: string) => readFileSync(join(plane.dir, "data", name), "utf8");
  const broker = await openBroker({
    tls: { key: read("server.key"), cert: read("server.pem"), ca: read("ca.pem") },
    host: "127.0.0.1",
    port: Number(new URL(plane.mqttUrl.replace("mqtts:", "https:")).port),
    tenant: plane.tenant,
    authenticate: async () => true,
    onMessage: (topic, payload) => {
      if (topic.includes("/up/reply/")) onReply(JSON.parse(Buffer.from(payload).toString()) as Record<string, unknown>);
    },
  });
  // Devices say nothing to a plane that is away. They are never acknowledged here, so the plane hears all of it as well.
  const host = { v: 1, online: true, tsMs: Date.now() };
  await broker.publish(toTopic({ kind: "host", tenant: plane.tenant }), toPayload(host), { retain: true });
  return broker;
}

async function serve(device: TestDevice): Promise<void> {
  await device.enrol(plane, await createEnrolmentToken(plane, 1));
  device.run();
  await eventually("it is online", async () => (await plane.device(device.name)).online);
  const what = ["--model", "digit-reader", "--version", "1.1.0", "--slot", "reader"];
  const where = ["--selector", `name=${device.name}`, "--stages", "all=100%", "--device-soak", "1s"];
  await runCliJson(["rollouts", "create", ...what, ...where], plane.cliEnv);
  await eventually(
    "it serves",
    async () => {
      const [slot] = (await plane.device(device.name)).slots;
      return slot?.serving === true && slot.job?.state === "succeeded";
    },
    60_000,
  );
}

describe("a command that was recorded", () => {
  it("A10 wipes nobody who enrolled under the same name later: refused, told to the plane, and the device serves on", async () => {
    await using device = new TestDevice({ name: "cam-1", dir: join(dir, "cam-1"), labels: { name: "cam-1" } });
    await device.enrol(plane, await createEnrolmentToken(plane, 1));
    device.run();
    await eventually("it is online", async () => (await plane.device("cam-1")).online);
    await runCliJson(["devices", "decommission", "cam-1", "--reason", "sold", "--yes"], plane.cliEnv);
    expect(await device.process.exited()).toBe(0);
    const [recorded] = readCommands(plane.dir, "cam-1");
    if (recorded === undefined) throw new Error("nothing was recorded");
    expect(recorded.signed).toMatchObject({ action: { kind: "decommission" }, generation: 1 });
    expect(recorded.signed.deadlineAtMs).toBeGreaterThan(Date.now() + 365 * 86_400_000);

    await serve(device);
    await plane.process.kill("SIGTERM");
    const replies: Record<string, unknown>[] = [];
    const broker = await openForeignBroker((reply) => void replies.push(reply));
    try {
      await eventually("the device is with the foreign broker", () => broker.isConnected("cam-1"), 45_000);
      const { commandId } = recorded.signed;
      const topic = toTopic({ kind: "command", tenant: plane.tenant, device: "cam-1", commandId });
      const refused = await eventually("the command is answered", async () => {
        await broker.publish(topic, toPayload(recorded));
        return replies.find((reply) => reply["commandId"] === commandId);
      });
      expect(refused).toMatchObject({ outcome: "refused", code: "foreign_enrolment" });
    } finally {
      await broker.close();
    }
    expect(existsSync(join(device.dataDir, "wipe.json"))).toBe(false);
    expect(device.process.running).toBe(true);

    await plane.start();
    const told = await eventually(
      "the plane hears of it",
      async () =>
        (await plane.get<{ items: AuditEntry[] }>("/api/v1/audit?subject=cam-1&limit=200")).items.find(
          ({ action }) => action === "device.refuse-command",
        ),
      45_000,
    );
    expect(told).toMatchObject({ actor: "device:cam-1", reason: "foreign_enrolment" });
    const after = await plane.device("cam-1");
    expect(after).toMatchObject({ lifecycle: "enrolled", online: true });
    expect(after.slots[0]).toMatchObject({ serving: true });
  }, 180_000);
});

describe("a plane that was restored from a backup", () => {
  it("counts its commands beyond those that a device knows, also the one that waited, and names the enrolment in each", async () => {
    await using harness = await startPlane();
    const identity = await enrol(harness, "cam-7");
    await harness.call("POST", "/api/v1/devices/cam-7/decommission", { json: { reason: "sold" } });
    const [waiting] = readCommands(harness.dir, "cam-7");
    expect(waiting?.signed).toMatchObject({ generation: 1 });
    await using device = await RawDevice.connect(harness, identity);
    await device.birth({ commandGeneration: 41 });
    const heard = await eventually("it is asked", () =>
      device.received.find(({ topic }) => topic.includes("/command/")),
    );
    expect(heard.body["signed"]).toEqual({ ...waiting?.signed, generation: 42 });
    expect(waiting?.signed.enrolledKey).toMatch(/^sha256:[0-9a-f]{64}$/u);
    const { items } = (await harness.call<{ items: AuditEntry[] }>("GET", "/api/v1/audit?subject=cam-7&limit=100"))
      .body;
    const issued = items.filter(({ action }) => action === "command.issue");
    expect(issued.map(({ details }) => details?.["after"])).toEqual([
      { generation: 42 },
      { state: "pending", kind: "decommission" },
    ]);

    // Whoever says that it knows the last number of all does not bring the plane to the end of numbers.
    await device.birth({ session: 2, commandGeneration: Number.MAX_SAFE_INTEGER });
    await device.birth({ session: 3, commandGeneration: 2 ** 52 });
    const last = await eventually("it is asked again", () =>
      device.received
        .map(({ body }) => (body["signed"] ?? {}) as Record<string, unknown>)
        .find(({ generation }) => generation === 2 ** 52 + 1),
    );
    expect(last["commandId"]).toBe(waiting?.signed.commandId);
  }, 60_000);
});
