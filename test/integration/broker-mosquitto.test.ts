import {
  createAuthorityPair,
  issueDeviceCertificate,
  issueServerPair,
  parseAuthority,
  parseCertificateRequest,
} from "@fairlead/control-plane/certificates";
import { toTopic, toPlaneFilter } from "@fairlead/protocol";
import { connectAsync, type IClientOptions, type MqttClient } from "mqtt";
import { Pkcs10CertificateRequestGenerator } from "@peculiar/x509";
import { execFileSync, spawn } from "node:child_process";
import { webcrypto } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli } from "../support/cli.ts";
import { eventually } from "../support/eventually.ts";
import { findFreePort, findMosquitto } from "../support/mosquitto.ts";
import { AgentHarness } from "./agent-harness.ts";
import { MiniPlane } from "./mini-plane.ts";

const mosquitto = findMosquitto();
const names: readonly string[] = ["cam-1", "cam-2"];

interface Credentials {
  readonly key: string;
  readonly cert: string;
}

/** A certificate of this authority under any name. */
async function issueAs(authority: MiniPlane["ca"], name: string, nowMs = Date.now()): Promise<Credentials> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as webcrypto.CryptoKeyPair;
  const csr = await Pkcs10CertificateRequestGenerator.create({ name: `CN=${name}`, keys, signingAlgorithm: algorithm });
  const issued = await issueDeviceCertificate(authority, {
    ...{ request: await parseCertificateRequest(csr.toString("pem")), device: name },
    ...{ tenant: "acme", nowMs, days: 1 },
  });
  const der = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey));
  const key = `-----BEGIN PRIVATE KEY-----\n${der.toString("base64").replace(/.{64}/gu, "$&\n")}\n-----END PRIVATE KEY-----\n`;
  return { key, cert: issued.certificatePem };
}

describe.skipIf(mosquitto === undefined)("Mosquitto with the generated configuration (needs mosquitto)", () => {
  const dir = mkdtempSync(join(tmpdir(), "mosquitto-"));
  let plane: MiniPlane;
  let url = "";
  let ca = "";
  let child: ReturnType<typeof spawn> | undefined;
  let log = "";
  const agents: AgentHarness[] = [];
  const seen: string[] = [];
  const texts: string[] = [];
  let own: MqttClient | undefined;
  const stopped = new Set<string>();

  const connect = (credentials: Partial<Credentials>, more: IClientOptions = {}) =>
    connectAsync(url, { ca, ...credentials, reconnectPeriod: 0, connectTimeout: 5_000, protocolVersion: 4, ...more });
  const identityOf = (agent: AgentHarness): Credentials => ({
    key: readFileSync(join(agent.data, "identity", "device.key"), "utf8"),
    cert: readFileSync(join(agent.data, "identity", "device.crt"), "utf8"),
  });

  beforeAll(async () => {
    plane = await MiniPlane.start();
    ca = plane.ca.certificatePem;
    const server = await issueServerPair(plane.ca, { names: ["localhost", "127.0.0.1"], nowMs: Date.now() });
    const files = join(dir, "files");
    mkdirSync(files);
    for (const [name, text] of [
      ["ca.pem", ca],
      ["server.pem", server.certificatePem],
      ["server.key", server.keyPem],
    ] as const)
      writeFileSync(join(files, name), text, { mode: 0o644 });
    const port = await findFreePort();
    const paths = ["ca.pem", "server.pem", "server.key"].map((name) => join(files, name));
    const args = ["--authority", paths[0] ?? "", "--cert", paths[1] ?? "", "--key", paths[2] ?? ""];
    const written = await runCli(
      [
        "broker",
        "config",
        "mosquitto",
        "--out",
        join(dir, "conf"),
        "--port",
        String(port),
        "--tenant",
        "acme",
        ...args,
      ],
      {},
    );
    expect(written).toMatchObject({ code: 0 });
    // Mosquitto leaves root behind when it has it, and then must still read its files.
    execFileSync("chmod", ["-R", "a+rX", dir]);
    child = spawn(mosquitto ?? "", ["-c", join(dir, "conf", "mosquitto.conf"), "-v"]);
    for (const stream of [child.stdout, child.stderr]) stream?.on("data", (text: Buffer) => (log += text.toString()));
    url = `mqtts://localhost:${port}`;
    plane.mqttUrl = url;
    const planeIdentity = await issueAs(plane.ca, "fairlead.control-plane");
    own = await eventually("mosquitto listens", () => connect(planeIdentity), 20_000);
    own.on("message", (topic, payload) => {
      seen.push(topic);
      texts.push(payload.toString());
    });
    await own.subscribeAsync(toPlaneFilter("acme"), { qos: 1 });
    for (const name of names) {
      const agent = new AgentHarness(plane);
      agents.push(agent);
      const enrolled = await agent.command("enrol", "--server", plane.url, "--token", plane.token, "--device", name);
      expect(enrolled).toMatchObject({ code: 0 });
      agent.run();
    }
  }, 60_000);
  afterAll(async () => {
    for (const agent of agents) await agent[Symbol.asyncDispose]();
    await own?.endAsync(true);
    child?.kill("SIGKILL");
    await plane?.[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true, force: true });
  });

  it("serves two agents: both say who they are, and hear and answer what is meant for them", async () => {
    for (const device of names)
      await eventually(`${device} is born: ${log.slice(-2_000)}`, () =>
        seen.includes(toTopic({ kind: "up", tenant: "acme", device, channel: "birth" })),
      );
    for (const device of names)
      await eventually(`${device} reports`, () =>
        seen.includes(toTopic({ kind: "up", tenant: "acme", device, channel: "reported" })),
      );
    await own?.publishAsync(toTopic({ kind: "down", tenant: "acme", device: "cam-2", channel: "desired" }), "{}", {
      qos: 1,
    });
    await eventually("cam-2 heard it, and says what is wrong with it", () =>
      texts.some((text) => text.includes('"envelope_malformed"')),
    );
  });

  /** The agent's own session ends with that of the thief: the name of the certificate is the client id. */
  async function openThief(device: string, more: IClientOptions = {}): Promise<{ thief: MqttClient; heard: string[] }> {
    const agent = agents[names.indexOf(device)];
    if (agent === undefined) throw new Error("no agent");
    if (!stopped.has(device)) await agent.process.kill();
    stopped.add(device);
    const thief = await connect(identityOf(agent), more);
    const heard: string[] = [];
    thief.on("message", (topic) => heard.push(topic)).on("error", () => undefined);
    return { thief, heard };
  }
  const pairs = [
    ["cam-1", "cam-2"],
    ["cam-2", "cam-1"],
  ] as const;

  it.each(pairs)(
    "A26 A27 lets %s neither write nor read the topics of %s, under whatever client id",
    async (from, to) => {
      const { thief, heard } = await openThief(from, { clientId: to });
      const up = (device: string, channel: "event" | "birth" | "status") =>
        toTopic({ kind: "up", tenant: "acme", device, channel });
      const down = toTopic({ kind: "down", tenant: "acme", device: to, channel: "desired" });
      const host = toTopic({ kind: "host", tenant: "acme" });
      const filters = [
        ...[
          "#",
          "+/+/#",
          "$SYS/#",
          "fairlead/v1/acme/#",
          `fairlead/v1/acme/${to}/#`,
          "fairlead/v1/acme/+/down/desired",
        ],
        ...[down, up(to, "birth"), up(to, "status"), `$share/g/${down}`, "$share/g/fairlead/#"],
      ];
      // Its access list knows no subscriptions: it says yes to each of them, and judges every delivery.
      await thief.subscribeAsync(filters, { qos: 1 });
      await thief.subscribeAsync(host, { qos: 1 });
      const stolen = `stolen by ${from}`;
      await thief.publishAsync(up(to, "event"), stolen, { qos: 1, retain: true });
      await thief.publishAsync(up(to, "birth"), stolen, { qos: 1, retain: true });
      await thief.publishAsync(down, stolen, { qos: 1, retain: true });
      await thief.publishAsync("$SYS/broker/version", stolen, { qos: 1 }).catch(() => undefined);
      await thief.publishAsync(up(from, "event"), `own ${from}`, { qos: 1 });
      await own?.publishAsync(down, "secret", { qos: 1 });
      await own?.publishAsync(host, "{}", { qos: 1 });
      await eventually("what the device may do is done", () => texts.includes(`own ${from}`) && heard.includes(host));
      expect(texts).not.toContain(stolen);
      expect(heard.filter((topic) => topic !== host)).toEqual([]);
      await thief.endAsync(true);
    },
  );

  it.each(pairs)("A26 lets %s leave no will on the status of %s, and keeps its will on its own", async (from, to) => {
    const status = (device: string) => toTopic({ kind: "up", tenant: "acme", device, channel: "status" });
    const before = seen.length;
    for (const device of [to, from]) {
      const payload = Buffer.from(`will of ${from}`);
      // Refused at CONNECT or never published: both are well.
      const opened = await openThief(from, { will: { topic: status(device), payload, qos: 1, retain: true } }).catch(
        () => undefined,
      );
      // An end without DISCONNECT is what a will waits for.
      opened?.thief.stream.destroy();
    }
    await eventually("the will on its own status", () => seen.slice(before).includes(status(from)));
    const wills = texts.flatMap((text, index) => (text === `will of ${from}` ? [seen[index]] : []));
    expect([...new Set(wills)]).toEqual([status(from)]);
  });

  it("A27 what a device retained stays where no other device reads it", async () => {
    const birth = toTopic({ kind: "up", tenant: "acme", device: "cam-2", channel: "birth" });
    const before = seen.length;
    // Who subscribes again is sent what is retained.
    await own?.subscribeAsync(birth, { qos: 1 });
    await eventually("it is retained", () => seen.slice(before).includes(birth));
    const { thief, heard } = await openThief("cam-1");
    await thief.subscribeAsync(birth, { qos: 1 }).catch(() => undefined);
    const host = toTopic({ kind: "host", tenant: "acme" });
    await thief.subscribeAsync(host, { qos: 1 });
    await own?.publishAsync(host, "{}", { qos: 1 });
    await eventually("it hears what it may", () => heard.includes(host));
    expect(heard).not.toContain(birth);
    await thief.endAsync(true);
  });

  it("A33 admits nobody without a certificate, with one that is over or not yet valid, or of another authority", async () => {
    await expect(connect({})).rejects.toThrow(/./u);
    const dayMs = 86_400_000;
    await (await connect(await issueAs(plane.ca, "cam-9"))).endAsync(true);
    for (const nowMs of [Date.now() - 3 * dayMs, Date.now() + 3 * dayMs]) {
      const outside = await issueAs(plane.ca, "cam-9", nowMs);
      await expect(connect(outside), String(nowMs)).rejects.toThrow(/./u);
    }
    const stranger = await issueAs(await parseAuthority(await createAuthorityPair(Date.now())), "cam-1");
    await expect(connect(stranger)).rejects.toThrow(/./u);
  });
});
