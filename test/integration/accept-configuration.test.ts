import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Alert, AuditEntry } from "@fairlead/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runWarmCli } from "../support/cli.ts";
import { createEnrolmentToken, TestDevice } from "../support/device.ts";
import { eventually } from "../support/eventually.ts";
import { TestPlane } from "../support/plane.ts";

const dir = mkdtempSync(join(tmpdir(), "accept-"));
const plane = new TestPlane({ dir: join(dir, "plane") });
const device = new TestDevice({ name: "cam-1", dir: join(dir, "cam-1"), labels: {} });
const release = (...rest: string[]) =>
  runWarmCli(["devices", "release", "cam-1", "--reason", "one more thread", "--yes", ...rest], plane.cliEnv);
const findAlert = async (): Promise<Alert | undefined> =>
  (await plane.get<{ items: Alert[] }>("/api/v1/alerts")).items.find(({ kind }) => kind === "hold-tampered-device");
const waitFor = (what: string, state: object) =>
  eventually(what, async () => {
    const seen = await plane.device("cam-1");
    return Object.entries(state).every(([key, value]) => seen[key as keyof typeof seen] === value) && seen;
  });

/** As README says it: the file is written, and the agent starts anew. */
async function configure(text: string): Promise<void> {
  await device[Symbol.asyncDispose]();
  writeFileSync(join(device.dataDir, "config.yaml"), text);
  device.run();
}

beforeAll(async () => {
  await plane.start();
  await device.enrol(plane, await createEnrolmentToken(plane, 1));
  device.run();
  await waitFor("its files are as expected", { integrity: "verified" });
}, 60_000);
afterAll(async () => {
  await device[Symbol.asyncDispose]();
  await plane[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

describe("a device whose configuration was changed", () => {
  it("leaves its quarantine by an operator's word on exactly what was measured, and by nothing wider", async () => {
    expect(await release("--accept-config")).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("as it was accepted last"),
    });
    await configure("inference: { threads: 2 }\n");
    const held = await waitFor("it is in quarantine", { integrity: "failed", lifecycle: "quarantined" });
    const [changed] = held.changedConfiguration;
    expect(held.changedConfiguration).toEqual([
      { name: "config.yaml", before: null, after: expect.stringMatching(/^sha256:/u) },
    ]);
    const command = "fairlead devices release cam-1 --accept-config --reason";
    expect((await findAlert())?.summary).toContain(command);
    expect((await release()).stderr).toContain(command);
    expect((await runWarmCli(["devices", "describe", "cam-1"], plane.cliEnv)).stdout).toContain(command);
    const accept = (name: string, digest: string) =>
      plane.post("/api/v1/devices/cam-1/accept-configuration", { reason: "guessed", files: [{ name, digest }] });
    expect(await accept("config.yaml", `sha256:${"0".repeat(64)}`)).toMatchObject({ status: 409, code: "conflict" });
    expect(await accept("identity/ca.pem", changed?.after ?? "")).toMatchObject({ status: 409, code: "conflict" });

    const accepted = await release("--accept-config");
    expect(accepted).toMatchObject({ code: 0, stderr: expect.stringContaining(`→ ${changed?.after}`) });
    const well = await waitFor("it is well again", { integrity: "verified", lifecycle: "enrolled" });
    expect(well.changedConfiguration).toEqual([]);
    await eventually("the alert has ended", async () => (await findAlert())?.state === "resolved");
    const { items } = await plane.get<{ items: AuditEntry[] }>("/api/v1/audit?limit=100");
    expect(items.find(({ action }) => action === "device.accept-configuration")).toMatchObject({
      ...{ actor: expect.stringMatching(/^admin:/u), subject: "cam-1", reason: "one more thread" },
      details: { before: { "config.yaml": null }, after: { "config.yaml": changed?.after } },
    });

    await configure("inference: { threads: 1 }\n");
    const again = await waitFor("the next change fails as the first did", { integrity: "failed" });
    expect(again.changedConfiguration).toMatchObject([{ name: "config.yaml", before: changed?.after }]);
  }, 120_000);
});
