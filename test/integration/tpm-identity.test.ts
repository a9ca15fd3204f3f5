import { createHash, X509Certificate } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RolloutStatus } from "@fairlead/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { toEntry } from "../support/entries.ts";
import { runCli, runCliJson } from "../support/cli.ts";
import { createEnrolmentToken, TestDevice } from "../support/device.ts";
import { eventually } from "../support/eventually.ts";
import { TestPlane } from "../support/plane.ts";
import { readRevocations } from "../support/revocation-list.ts";
import { publishDigitReader } from "../support/publish.ts";
import { OwnedProcess } from "../support/process.ts";
import { SoftwareTpm, whyNoTpm } from "../support/swtpm.ts";

const missing = whyNoTpm();
const dir = mkdtempSync(join(tmpdir(), "fairlead-tpm-"));
const plane = new TestPlane({ dir: join(dir, "plane") });
const agentEntry = toEntry("agent");

async function runAgentTool(name: string, args: readonly string[]): Promise<{ code: number | string; output: string }> {
  await using tool = new OwnedProcess({ name, entry: agentEntry, args });
  return { code: await tool.exited(), output: tool.output };
}

function createDevice(name: string, config: string): TestDevice {
  const device = new TestDevice({ name, dir: join(dir, name), labels: {}, telemetryWindowMs: 500 });
  mkdirSync(device.dataDir, { recursive: true });
  writeFileSync(join(device.dataDir, "config.yaml"), config);
  return device;
}

const enrolEndorsed = (device: TestDevice) => {
  const ca = new X509Certificate(readFileSync(join(plane.dir, "data", "ca.pem")));
  const fingerprint = createHash("sha256").update(ca.raw).digest("hex");
  return runAgentTool(`${device.name} enrol`, [
    ...["enrol", "--server", plane.url, "--endorsed", "--ca-fingerprint", fingerprint],
    ...["--device", device.name, "--data", device.dataDir],
  ]);
};

async function allow(tpm: SoftwareTpm, ...options: readonly string[]): Promise<string> {
  const file = await tpm.writeEndorsement();
  const args = ["enrolments", "allow-ek", "--ek", file, "--auto-approve", ...options];
  return (await runCliJson<{ fingerprint: string }>(args, plane.cliEnv)).fingerprint;
}

beforeAll(async () => {
  if (missing === null) await plane.start();
});
afterAll(async () => {
  await plane[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

describe.skipIf(missing !== null)(`a device with a TPM${missing === null ? "" : ` (${missing})`}`, () => {
  it("enrols by its endorsement key, connects with a session that its TPM vouches for, and comes back after a reboot", async () => {
    await using tpm = await SoftwareTpm.start(join(dir, "tpm-1"));
    const fingerprint = await allow(tpm, "--label", "site=berlin", "--device", "cam-1");
    await using device = createDevice("cam-1", tpm.config);
    const enrolled = await enrolEndorsed(device);
    expect(enrolled).toMatchObject({ code: 0, output: expect.stringContaining("tpm-endorsed") });
    const identity = join(device.dataDir, "identity");
    expect(existsSync(join(identity, "device.key"))).toBe(false);
    expect(statSync(join(identity, "device.tpm")).mode % 0o1000).toBe(0o600);
    for (const file of readdirSync(identity))
      expect(readFileSync(join(identity, file), "utf8")).not.toContain("PRIVATE");

    device.run();
    await eventually("the device is online", async () => (await plane.device("cam-1")).online);
    expect(await plane.device("cam-1")).toMatchObject({
      ...{ assurance: "tpm-endorsed", endorsement: fingerprint, labels: { site: "berlin" } },
    });
    const described = await runCli(["devices", "describe", "cam-1"], plane.cliEnv);
    expect(described.stdout).toContain(`key          tpm-endorsed: in the TPM with the endorsement key ${fingerprint}`);
    expect((await runAgentTool("status", ["status", "--data", device.dataDir])).output).toContain("tpm-endorsed");
    expect((await runAgentTool("doctor", ["doctor", "--data", device.dataDir])).output).toContain(
      "ok    tpm: swtpm:host=127.0.0.1",
    );

    const before = (await readRevocations(plane)).serials.size;
    await device.process.kill("SIGKILL");
    await eventually("the device is offline", async () => !(await plane.device("cam-1")).online);
    await tpm.reboot();
    device.run();
    await eventually("it is online again after both began anew", async () => (await plane.device("cam-1")).online);
    expect(readdirSync(join(device.dataDir, "run")).filter((name) => name.startsWith("tpm-"))).toEqual([]);
    // The session's certificate of before counts no more.
    expect(await readRevocations(plane)).toMatchObject({ serials: { size: before + 1 }, devices: [] });
  }, 120_000);

  it("stays without a session when its TPM is gone, another one, or switched off in its configuration, and serves on", async () => {
    await using tpm = await SoftwareTpm.start(join(dir, "tpm-2"));
    await using other = await SoftwareTpm.start(join(dir, "tpm-3"));
    await allow(tpm, "--label", "site=yard");
    await using device = createDevice("cam-2", tpm.config);
    expect((await enrolEndorsed(device)).code).toBe(0);
    await publishDigitReader(plane, "1.1.0");
    device.run();
    await device.waitForEndpoint(plane);
    // Over the session's certificate the device also downloads; the selector is a label that only the plane sets.
    const rollout = await runCliJson<RolloutStatus>(
      [
        ...[
          "rollouts",
          "create",
          "--model",
          "digit-reader",
          "--version",
          "1.1.0",
          "--slot",
          "reader",
          "--stages",
          "all=100%",
        ],
        ...["--selector", "fairlead.assurance=tpm-endorsed,site=yard", "--device-soak", "0s", "--soak", "0s"],
      ],
      plane.cliEnv,
    );
    await eventually(
      "the model is installed",
      async () => {
        const status = await plane.rollout(rollout.rolloutId);
        if (status.state === "succeeded") return true;
        throw new Error(`${JSON.stringify(status)} ${device.process.output.slice(-3_000)}`);
      },
      60_000,
    );

    const doctor = async () => (await runAgentTool("doctor", ["doctor", "--data", device.dataDir])).output;
    const configs = [
      [other.config, "tpm_foreign"],
      [JSON.stringify({ tpm: "off" }), "tpm_unavailable"],
      [JSON.stringify({ tpm: { tcti: "swtpm:host=127.0.0.1,port=9" } }), "tpm_unavailable"],
    ] as const;
    for (const [config, code] of configs) {
      await device.process.kill("SIGKILL");
      await eventually("the device is offline", async () => !(await plane.device("cam-2")).online);
      writeFileSync(join(device.dataDir, "config.yaml"), config);
      device.run();
      await eventually(`the agent says ${code}`, () => device.process.output.includes(code));
      const isReady = async (): Promise<boolean> => {
        const endpoint = readFileSync(join(device.dataDir, "run", "endpoint"), "utf8").trim();
        return (await fetch(`${endpoint}/v2/models/digit-reader/ready`)).ok;
      };
      await eventually("its model answers", isReady);
      expect((await plane.device("cam-2")).online).toBe(false);
      expect(await doctor()).toMatch(new RegExp(`FAIL  tpm: .*\\(${code}\\)`, "u"));
      expect(existsSync(join(device.dataDir, "identity", "device.key"))).toBe(false);
    }

    await device.process.kill("SIGKILL");
    writeFileSync(join(device.dataDir, "config.yaml"), tpm.config);
    device.run();
    await eventually("it is online with the right TPM again", async () => (await plane.device("cam-2")).online);
  }, 240_000);

  it("is asked by one conversation at a time: six doctors and an agent at once do not take away each other's keys", async () => {
    await using tpm = await SoftwareTpm.start(join(dir, "tpm-6"));
    await allow(tpm);
    await using device = createDevice("cam-8", tpm.config);
    expect((await enrolEndorsed(device)).code).toBe(0);
    device.run();
    const doctors = Array.from(
      { length: 6 },
      async () =>
        (await runAgentTool("doctor", ["doctor", "--data", device.dataDir])).output.match(/^.*tpm: .*$/mu)?.[0],
    );
    const holds = `ok    tpm: ${tpm.tcti} holds this device's key`;
    expect(await Promise.all(doctors)).toEqual(doctors.map(() => holds));
    await eventually("the device is online", async () => (await plane.device("cam-8")).online);
    expect(device.process.output).not.toContain("tpm_failed");
  }, 120_000);

  it("keeps its name when its TPM was cleared: the key is a new one, the endorsement the same", async () => {
    await using tpm = await SoftwareTpm.start(join(dir, "tpm-4"));
    await allow(tpm);
    await using device = createDevice("cam-4", tpm.config);
    expect((await enrolEndorsed(device)).code).toBe(0);
    const before = readFileSync(join(device.dataDir, "identity", "device.tpm"), "utf8");
    await tpm.tool("tpm2_clear", ["-c", "p"]);
    const again = await enrolEndorsed(device);
    expect(again, again.output).toMatchObject({ code: 0 });
    expect(readFileSync(join(device.dataDir, "identity", "device.tpm"), "utf8")).not.toBe(before);
    device.run();
    await eventually("it is online with its new key", async () => (await plane.device("cam-4")).online);
  }, 120_000);

  it("says `tpm` of a TPM that nobody vouches for, and `software` of a key in a file", async () => {
    await using tpm = await SoftwareTpm.start(join(dir, "tpm-5"));
    await using inTpm = createDevice("cam-5", tpm.config);
    await inTpm.enrol(plane, await createEnrolmentToken(plane, 1));
    expect(existsSync(join(inTpm.dataDir, "identity", "device.key"))).toBe(false);
    await using inFile = createDevice("cam-6", JSON.stringify({ tpm: "off" }));
    await inFile.enrol(plane, await createEnrolmentToken(plane, 1));
    const levels = (await plane.devices()).map(({ device, assurance }) => [device, assurance]);
    expect(levels).toContainEqual(["cam-5", "tpm"]);
    expect(levels).toContainEqual(["cam-6", "software"]);
    inTpm.run();
    await eventually("the one with a TPM is online", async () => (await plane.device("cam-5")).online);
    const absent = createDevice("cam-7", JSON.stringify({ tpm: { tcti: "swtpm:host=127.0.0.1,port=9" } }));
    await expect(absent.enrol(plane, await createEnrolmentToken(plane, 1))).rejects.toThrow("tpm_unavailable");
    expect(existsSync(join(absent.dataDir, "identity", "device.key"))).toBe(false);
  }, 120_000);
});
