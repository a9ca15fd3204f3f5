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
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli, runCliJson } from "../support/cli.ts";
import { TestDevice } from "../support/device.ts";
import { eventually } from "../support/eventually.ts";
import { TestPlane } from "../support/plane.ts";
import { OwnedProcess } from "../support/process.ts";
import { SoftwareTpm, whyNoTpm } from "../support/swtpm.ts";

const missing = whyNoTpm();
const dir = mkdtempSync(join(tmpdir(), "fairlead-tpm-"));
const plane = new TestPlane({ dir: join(dir, "plane") });
const agentEntry = "apps/agent/src/main.ts";

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

    await device.process.kill("SIGKILL");
    await eventually("the device is offline", async () => !(await plane.device("cam-1")).online);
    await tpm.reboot();
    device.run();
    await eventually("it is online again after both began anew", async () => (await plane.device("cam-1")).online);
    expect(readdirSync(join(device.dataDir, "run")).filter((name) => name.startsWith("tpm-"))).toEqual([]);
  }, 120_000);
});
