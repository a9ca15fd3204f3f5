import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CreateWebhookResponse, Remediation } from "@fairlead/protocol";
import { afterAll, beforeAll, expect, it } from "vitest";
import { runCli } from "../support/cli.ts";
import { createEnrolmentToken, TestDevice } from "../support/device.ts";
import { eventually } from "../support/eventually.ts";
import { TestPlane } from "../support/plane.ts";
import { publishDigitReader } from "../support/publish.ts";
import { isGenuine, WebhookReceivers } from "../support/webhook-receiver.ts";

const dir = mkdtempSync(join(tmpdir(), "webhook-devices-"));
const plane = new TestPlane({
  dir: join(dir, "plane"),
  args: ["--webhook-networks", "127.0.0.1/32", "--webhook-plain-http"],
});
const device = new TestDevice({ name: "dev-1", dir: join(dir, "dev-1"), labels: { site: "test" } });
const receivers = new WebhookReceivers();
const configFile = join(device.dataDir, "config.yaml");
/** Measured each second, so that a change is seen at once. */
const config = "integrity: { periodMs: 1000, checkMs: 200 }\n";

beforeAll(async () => {
  await plane.start();
  await publishDigitReader(plane, "1.0.0");
  await device.enrol(plane, await createEnrolmentToken(plane, 1));
  mkdirSync(device.dataDir, { recursive: true });
  writeFileSync(configFile, config);
  device.run();
  await eventually("the device is verified", async () => (await plane.device("dev-1")).integrity === "verified");
}, 120_000);
afterAll(async () => {
  await device[Symbol.asyncDispose]();
  await plane[Symbol.asyncDispose]();
  receivers[Symbol.dispose]();
  rmSync(dir, { recursive: true, force: true });
});

/** A receiver of these events alone; what it hears, each message judged as its library would. */
async function subscribe(...events: string[]) {
  const { url, received } = await receivers.receive([204]);
  const { secret } = (await plane.post("/api/v1/webhooks", { url, events })) as unknown as CreateWebhookResponse;
  return () =>
    received.map((message) => {
      expect(isGenuine(secret, message)).toBe(true);
      return JSON.parse(message.body) as { readonly type: string; readonly data: Record<string, unknown> };
    });
}
const remediations = async () => (await plane.get<{ items: Remediation[] }>("/api/v1/remediations")).items;

it("a model file that was overwritten and repaired is told of as a remediation", async () => {
  const heard = await subscribe("remediation.resolved", "remediation.failed");
  const spec = ["--model", "digit-reader", "--version", "1.0.0", "--slot", "reader", "--selector", "site=test"];
  const created = await runCli(["rollouts", "create", ...spec, "--stages", "all=100%"], plane.cliEnv);
  expect(created, created.stderr).toMatchObject({ code: 0 });
  const digest = await eventually(
    "the model runs and is verified",
    async () => {
      const { slots, integrity } = await plane.device("dev-1");
      return slots[0]?.serving === true && integrity === "verified" ? slots[0].running?.buildDigest : undefined;
    },
    60_000,
  );
  const name = digest.replace("sha256:", "").slice(8);
  const found = readdirSync(device.dataDir, { recursive: true, encoding: "utf8" }).find(
    (path) => path.includes(name) && statSync(join(device.dataDir, path)).isFile(),
  );
  const file = join(device.dataDir, found ?? "");
  writeFileSync(file, Buffer.alloc(statSync(file).size, 0x41));
  const [message] = await eventually("it arrives", () => (heard().length > 0 ? heard() : undefined));
  const [remediation] = (await remediations()).filter(({ rule }) => rule === "repair-model-file");
  expect(message).toMatchObject({
    type: "remediation.resolved",
    data: { remediationId: remediation?.remediationId, device: "dev-1", state: "resolved" },
  });
  await eventually("the device is let go", async () => (await plane.device("dev-1")).lifecycle === "enrolled");
}, 120_000);

it("a device whose configuration was changed is told of as an alert, and so is its end", async () => {
  const alerts = await subscribe("alert.firing", "alert.resolved");
  const others = await subscribe("rollout.failed");
  writeFileSync(configFile, `${config}# somebody was here\n`);
  const firing = await eventually("the alert arrives", () => alerts().find(({ type }) => type === "alert.firing"));
  expect(firing.data).toMatchObject({
    ...{ device: "dev-1", kind: "hold-tampered-device", state: "firing" },
    summary: expect.stringContaining("config.yaml") as string,
  });
  expect((await plane.device("dev-1")).lifecycle).toBe("quarantined");
  writeFileSync(configFile, config);
  const resolved = await eventually("its end arrives", () => alerts().find(({ type }) => type === "alert.resolved"));
  expect(resolved.data).toMatchObject({ alertId: firing.data["alertId"], device: "dev-1", state: "resolved" });
  expect(alerts()).toHaveLength(2);
  expect(others()).toEqual([]);
}, 90_000);
