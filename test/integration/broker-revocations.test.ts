import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { issueServerPair, parseAuthority } from "@fairlead/control-plane/certificates";
import { toTopic } from "@fairlead/protocol";
import { connectAsync, type MqttClient } from "mqtt";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { prepareWithCli, runCli } from "../support/cli.ts";
import { toEntry } from "../support/entries.ts";
import { eventually } from "../support/eventually.ts";
import { findFreePort, findMosquitto } from "../support/mosquitto.ts";
import { OwnedProcess } from "../support/process.ts";
import { createRequest, enrol, startPlane, type Harness, type Identity } from "./plane-harness.ts";

const mosquitto = findMosquitto();
type Shown = Pick<Identity, "key" | "cert">;

describe.skipIf(mosquitto === undefined)("a Mosquitto that is brought revocations (needs mosquitto)", () => {
  const dir = mkdtempSync(join(tmpdir(), "mosquitto-"));
  const conf = join(dir, "conf");
  const pidFile = join(dir, "mosquitto.pid");
  let harness: Harness;
  let url = "";
  let broker: ChildProcess | undefined;
  let watch: OwnedProcess | undefined;
  let log = "";
  const open: MqttClient[] = [];

  const connect = async ({ key, cert }: Shown): Promise<MqttClient> => {
    const options = { ca: harness.ca, key, cert, reconnectPeriod: 0, connectTimeout: 5_000 };
    const client = await connectAsync(url, options);
    client.on("error", () => undefined);
    open.push(client);
    return client;
  };
  /** How the broker answers who shows this certificate. */
  const tryConnect = async (shown: Shown): Promise<string> => {
    try {
      await (await connect(shown)).endAsync(true);
      return "admitted";
    } catch (error) {
      return `refused: ${String(error)}`;
    }
  };
  const revocations = (...rest: string[]) => ["broker", "revocations", "mosquitto", "--out", conf, ...rest];
  const decommission = (device: string) =>
    prepareWithCli(["devices", "decommission", device, "--force", "--reason", "stolen", "--yes"], harness.plane.cliEnv);
  const up = (device: string) => toTopic({ kind: "up", tenant: "default", device, channel: "event" });
  const host = toTopic({ kind: "host", tenant: "default" });

  const startBroker = (): void => {
    broker = spawn(mosquitto ?? "", ["-c", join(conf, "mosquitto.conf"), "-v"]);
    for (const stream of [broker.stdout, broker.stderr]) stream?.on("data", (text: Buffer) => (log += text.toString()));
    writeFileSync(pidFile, `${broker.pid ?? ""}\n`);
  };

  beforeAll(async () => {
    harness = await startPlane();
    const read = (name: string) => readFileSync(join(harness.dir, "data", name), "utf8");
    const authority = await parseAuthority({ keyPem: read("ca.key"), certificatePem: read("ca.pem") });
    const server = await issueServerPair(authority, { names: ["localhost", "127.0.0.1"], nowMs: Date.now() });
    const files = { "ca.pem": harness.ca, "server.pem": server.certificatePem, "server.key": server.keyPem };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
    const port = await findFreePort();
    url = `mqtts://localhost:${port}`;
    const [ca = "", cert = "", key = ""] = Object.keys(files).map((name) => join(dir, name));
    const paths = ["--authority", ca, "--cert", cert, "--key", key];
    await prepareWithCli(
      ["broker", "config", "mosquitto", "--out", conf, "--port", String(port), ...paths, "--revocations"],
      {},
    );
    // Mosquitto leaves root behind when it has it, and then must still read its files.
    execFileSync("chmod", ["-R", "a+rX", dir]);
  }, 60_000);
  afterAll(async () => {
    for (const client of open) await client.endAsync(true).catch(() => undefined);
    await watch?.[Symbol.asyncDispose]();
    broker?.kill("SIGKILL");
    await harness?.[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true, force: true });
  });

  it("does not start before the list is there, and admits with it whom the plane admits", async () => {
    startBroker();
    const ended = broker;
    await eventually("mosquitto ends", () => ended?.exitCode !== null && /fairlead\.crl/u.test(log));
    await prepareWithCli(revocations(), harness.plane.cliEnv);
    startBroker();
    const device = await enrol(harness, "cam-1");
    await eventually("mosquitto admits the device", async () => (await tryConnect(device)) === "admitted");
    watch = new OwnedProcess({
      ...{ name: "fairlead", entry: toEntry("cli"), args: revocations("--watch", "--pid-file", pidFile) },
      env: harness.plane.cliEnv,
    });
  });

  it("cuts a device that is let go off in its session, refuses it at the next, and leaves the others alone", async () => {
    const [stolen, other] = [await enrol(harness, "cam-2"), await enrol(harness, "cam-3")];
    const [session, neighbour] = [await connect(stolen), await connect(other)];
    const heard: string[] = [];
    neighbour.on("message", (topic) => heard.push(topic));
    await neighbour.subscribeAsync(host, { qos: 1 });
    const refusals = () => log.match(/Denied PUBLISH from cam-2/gu)?.length ?? 0;
    await session.publishAsync(up("cam-2"), "mine", { qos: 1 });
    expect(refusals()).toBe(0);
    await decommission("cam-2");
    await eventually("its session says nothing more", async () => {
      await session.publishAsync(up("cam-2"), "still here", { qos: 1 });
      return refusals() > 0;
    });
    expect(await tryConnect(stolen)).toMatch(/refused: .*certificate revoked/u);
    expect(neighbour.connected).toBe(true);
    await neighbour.publishAsync(up("cam-3"), "mine", { qos: 1 });
    expect(log).not.toMatch(/Denied PUBLISH from cam-3/u);
    expect(await tryConnect(other)).toBe("admitted");
  });

  it("refuses a certificate that another has come in place of, and neither the new nor one that only waits", async () => {
    const first = await enrol(harness, "cam-4");
    const renew = async (identity: Shown): Promise<Shown> => {
      const { key, csr } = await createRequest();
      const path = "/api/v1/device/certificate";
      const { body } = await harness.call<{ certificate: string }>("POST", path, {
        token: null,
        identity,
        json: { csr },
      });
      return { key, cert: body.certificate };
    };
    const second = await renew(first);
    await prepareWithCli(revocations(), harness.plane.cliEnv);
    expect([await tryConnect(first), await tryConnect(second)]).toEqual(["admitted", "admitted"]);
    await harness.call("GET", "/api/v1/device/certificate", { token: null, identity: second });
    await eventually("the first is refused", async () => /certificate revoked/u.test(await tryConnect(first)));
    expect(await tryConnect(second)).toBe("admitted");
  });

  it("admits a name again that a new key was given", async () => {
    await enrol(harness, "cam-5");
    await decommission("cam-5");
    const permissions = () => readFileSync(join(conf, "fairlead.acl"), "utf8");
    await eventually("the name is refused", () => permissions().includes("user cam-5\n"));
    const again = await enrol(harness, "cam-5");
    await eventually("the name is free again", () => !permissions().includes("user cam-5\n"));
    const session = await connect(again);
    await session.publishAsync(up("cam-5"), "mine", { qos: 1 });
    await eventually("it speaks", () => log.includes("Received PUBLISH from cam-5"));
    expect(log).not.toMatch(/Denied PUBLISH from cam-5/u);
  });

  it("keeps what it has while the plane is away, and hears of what happened once it is back", async () => {
    await harness.plane.process.kill();
    await eventually("the watch says what is wrong", () => /ECONNREFUSED|unreachable|reach/u.test(watch?.output ?? ""));
    await harness.plane.start();
    const late = await enrol(harness, "cam-6");
    expect(await tryConnect(late)).toBe("admitted");
    await decommission("cam-6");
    await eventually("the broker refuses it", async () => /certificate revoked/u.test(await tryConnect(late)));
    expect(watch?.running).toBe(true);
  });

  it("gets its permissions back when somebody writes them over", async () => {
    const permissions = join(conf, "fairlead.acl");
    const brought = readFileSync(permissions, "utf8");
    expect(brought).toContain("user cam-2\ntopic deny #\n");
    writeFileSync(permissions, brought.replaceAll("deny", "readwrite"));
    await eventually("they are as before", () => readFileSync(permissions, "utf8") === brought);
  });

  it("is told by nobody who is given another process, and not of EMQX, which reads no such file", async () => {
    const foreign = join(dir, "foreign.pid");
    writeFileSync(foreign, `${process.pid}\n`);
    const told = await runCli(revocations("--pid-file", foreign), harness.plane.cliEnv);
    expect(told).toMatchObject({ code: 1, stderr: expect.stringContaining("not mosquitto") });
    const emqx = await runCli(["broker", "revocations", "emqx", "--out", conf], harness.plane.cliEnv);
    expect(emqx).toMatchObject({ code: 2, stderr: expect.stringContaining("EMQX") });
  });
});
