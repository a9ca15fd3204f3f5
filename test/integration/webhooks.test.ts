import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import type { RequestListener } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Alert, CreateWebhookResponse, Webhook, WebhookDetail } from "@fairlead/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runWarmCli, runCliJson } from "../support/cli.ts";
import { eventually } from "../support/eventually.ts";
import { TestPlane } from "../support/plane.ts";
import { readRssBytes } from "../support/rss.ts";
import { publishDigitReader } from "../support/publish.ts";
import { isGenuine, WebhookReceivers } from "../support/webhook-receiver.ts";
import { enrol, startPlane } from "./plane-harness.ts";

const root = mkdtempSync(join(tmpdir(), "webhooks-"));
/** What an operator writes who has receivers in networks of their own. */
const listed = ["--webhook-networks", "127.0.0.1/32", "--webhook-plain-http", "--webhook-give-up", "600"];
const plane = new TestPlane({ dir: join(root, "plane"), args: listed });
const receivers = new WebhookReceivers();

const serve = async (listener: RequestListener) => `http://127.0.0.1:${await receivers.listen(listener)}/in`;
const receive = (...statuses: number[]) => receivers.receive(statuses);

const create = (url: string, ...more: string[]) =>
  runCliJson<CreateWebhookResponse>(["webhooks", "create", url, ...more], plane.cliEnv);
const describeOf = (id: string) => plane.get<WebhookDetail>(`/api/v1/webhooks/${id}`);
const test = async (id: string) =>
  (await runCliJson<{ deliveryId: string }>(["webhooks", "test", id], plane.cliEnv)).deliveryId;
const deliveryOf = async (id: string, deliveryId: string) =>
  (await describeOf(id)).deliveries.find((delivery) => delivery.deliveryId === deliveryId);
const remove = (id: string) => runWarmCli(["webhooks", "delete", id, "--yes"], plane.cliEnv);

beforeAll(() => plane.start());
afterAll(async () => {
  await plane[Symbol.asyncDispose]();
  receivers[Symbol.dispose]();
  rmSync(root, { recursive: true, force: true });
});

describe("a webhook", () => {
  it("gets a signed test, keeps its secret to itself, and is listed, described and deleted by command", async () => {
    const { url, received } = await receive(204);
    const { webhook, secret } = await create(url, "--description", "on call");
    const deliveryId = await test(webhook.webhookId);
    const [message] = await eventually("the test arrives", () => (received.length > 0 ? received : undefined));
    expect(message?.headers["webhook-id"]).toBe(deliveryId);
    expect(message !== undefined && isGenuine(secret, message)).toBe(true);
    expect(message !== undefined && isGenuine(`whsec_${Buffer.alloc(32).toString("base64")}`, message)).toBe(false);
    expect(JSON.parse(message?.body ?? "")).toMatchObject({
      type: "webhook.test",
      timestamp: expect.stringMatching(/^\d{4}-/u) as string,
      data: { webhookId: webhook.webhookId },
    });
    await eventually("the outcome is told", async () => {
      const { stdout } = await runWarmCli(["webhooks", "describe", webhook.webhookId], plane.cliEnv);
      return /webhook\.test .* delivered {2}1 attempts {2}status 204/u.test(stdout);
    });
    const list = await runWarmCli(["webhooks", "list"], plane.cliEnv);
    expect(list.stdout).toContain(url);
    const everything = JSON.stringify([
      await describeOf(webhook.webhookId),
      list,
      await plane.get("/api/v1/audit?limit=1000"),
    ]);
    expect(everything).not.toContain(secret.slice(6, 40));
    expect(await remove(webhook.webhookId)).toMatchObject({ code: 0 });
    expect(await runWarmCli(["webhooks", "describe", webhook.webhookId], plane.cliEnv)).toMatchObject({ code: 3 });
  });

  it("A64 leaves no secret of its signatures in log, database or any other file but the sealed one's key", async () => {
    const { url } = await receive(204);
    const { webhook, secret } = await create(url);
    const folder = join(plane.dir, "data");
    const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    expect(files.some(({ name }) => name === "webhooks.key")).toBe(true);
    for (const file of files) {
      const path = join(file.parentPath, file.name);
      expect(readFileSync(path, "latin1").includes(secret.slice(6, 40)), path).toBe(false);
    }
    expect(statSync(join(folder, "webhooks.key")).mode & 0o777).toBe(0o600);
    expect(readFileSync(join(plane.dir, "plane.log"), "utf8")).not.toContain(secret.slice(6, 40));
    await remove(webhook.webhookId);
  });

  it("hears of a rollout's turn, only if it asked for it", async () => {
    await using harness = await startPlane(listed);
    const { plane: own } = harness;
    await publishDigitReader(own, "1.0.0");
    await enrol(harness, "dev-1");
    const wants = await receive(204);
    const other = await receive(204);
    const make = (url: string, event: string) =>
      runCliJson<CreateWebhookResponse>(["webhooks", "create", url, "--event", event], own.cliEnv);
    const { secret } = await make(wants.url, "rollout.paused");
    await make(other.url, "remediation.failed");
    const rollout = await runCliJson<{ rolloutId: string }>(
      [
        ...["rollouts", "create", "--model", "digit-reader", "--version", "1.0.0", "--slot", "reader"],
        ...["--selector", "site=test", "--stages", "all=100%"],
      ],
      own.cliEnv,
    );
    expect(await runWarmCli(["rollouts", "pause", rollout.rolloutId, "--yes"], own.cliEnv)).toMatchObject({ code: 0 });
    const [message] = await eventually("the outcome arrives", () =>
      wants.received.length > 0 ? wants.received : undefined,
    );
    expect(message !== undefined && isGenuine(secret, message)).toBe(true);
    expect(JSON.parse(message?.body ?? "")).toMatchObject({
      type: "rollout.paused",
      data: { rolloutId: rollout.rolloutId, model: "digit-reader", version: "1.0.0", state: "paused" },
    });
    expect(other.received).toEqual([]);
  });

  it("tries again under the same id until the message is taken, after the plane was killed too", async () => {
    const { url, received } = await receive(500, 503, 204);
    const { webhook, secret } = await create(url);
    const deliveryId = await test(webhook.webhookId);
    await eventually("the first attempt", () => received.length >= 1);
    await plane.process.kill("SIGKILL");
    await plane.start();
    const done = await eventually("it is taken", async () => {
      const delivery = await deliveryOf(webhook.webhookId, deliveryId);
      return delivery?.state === "delivered" ? delivery : undefined;
    });
    expect(done.status).toBe(204);
    expect(new Set(received.map(({ headers }) => headers["webhook-id"]))).toEqual(new Set([deliveryId]));
    expect(received.every((message) => isGenuine(secret, message))).toBe(true);
    await remove(webhook.webhookId);
  });

  it("is disabled with an alert that the others hear of, and enabled by a test that it takes", async () => {
    const watcher = await receive(204);
    const watching = await create(watcher.url, "--event", "alert.firing", "--event", "alert.resolved");
    const { url, received } = await receive(410, 204);
    const { webhook } = await create(url);
    const { webhookId } = webhook;
    await test(webhookId);
    const disabled = await eventually("it is disabled", async () => {
      const found = await describeOf(webhookId);
      return found.webhook.state === "disabled" ? found : undefined;
    });
    expect(disabled.webhook.reason).toContain("410");
    const alerts = async () => (await plane.get<{ items: Alert[] }>("/api/v1/alerts")).items;
    expect(await alerts()).toMatchObject([{ kind: "webhook-disabled", state: "firing" }]);
    await eventually("the other one hears of it", () => watcher.received.length >= 1);
    expect(JSON.parse(watcher.received[0]?.body ?? "")).toMatchObject({
      type: "alert.firing",
      data: { kind: "webhook-disabled" },
    });
    await test(webhookId);
    await eventually("it is enabled", async () => (await describeOf(webhookId)).webhook.state === "active");
    const types = received.map(({ body }) => (JSON.parse(body) as { type: string }).type);
    expect(types.slice(0, 2)).toEqual(["webhook.test", "webhook.test"]);
    expect(await alerts()).toMatchObject([{ kind: "webhook-disabled", state: "resolved" }]);
    await eventually("the other one hears of that too", () => watcher.received.length >= 2);
    await remove(webhookId);
    await remove(watching.webhook.webhookId);
  });
});

describe("a receiver that means harm", () => {
  it("A53 gets caps: one that answers without end, one that answers 1 GB and one that redirects are failures, and the plane stays small", async () => {
    let pouredBytes = 0;
    const pour: RequestListener = (request, response) => {
      request.resume();
      if (request.url === "/in?declared") response.setHeader("content-length", String(1_073_741_824));
      const chunk = Buffer.alloc(65_536);
      const go = () => {
        while (!response.destroyed) {
          pouredBytes += chunk.length;
          if (!response.write(chunk)) return void response.once("drain", go);
        }
      };
      go();
    };
    const pouring = await serve(pour);
    const inside = await receive(204);
    const redirecting = await serve((request, response) => {
      request.resume();
      response.writeHead(307, { location: inside.url }).end();
    });
    const rss = () => readRssBytes(plane.process.pid) / 1_024;
    const beforeKb = rss();
    const cases = [
      [pouring, "response_too_large"],
      [`${pouring}?declared`, "response_too_large"],
      [redirecting, "redirect_refused"],
    ] as const;
    for (const [url, code] of cases) {
      const { webhook } = await create(url);
      const deliveryId = await test(webhook.webhookId);
      const tried = await eventually(`${url} is tried`, async () => {
        const delivery = await deliveryOf(webhook.webhookId, deliveryId);
        return (delivery?.attempts ?? 0) > 0 ? delivery : undefined;
      });
      expect(tried.reason).toContain(code);
      await remove(webhook.webhookId);
    }
    expect(inside.received).toEqual([]);
    expect(pouredBytes).toBeLessThan(64 * 1_048_576);
    expect(rss() - beforeKb).toBeLessThan(64 * 1_024);
  });

  it("A53 does not keep others waiting when it never answers", async () => {
    const mute = await create(await serve((request) => void request.resume()));
    await test(mute.webhook.webhookId);
    const good = await receive(204);
    const { webhook } = await create(good.url);
    await test(webhook.webhookId);
    await eventually("the other one is served", () => good.received.length === 1, 5_000);
    expect((await describeOf(mute.webhook.webhookId)).webhook.pending).toBe(1);
    await remove(mute.webhook.webhookId);
    await remove(webhook.webhookId);
  });
});

describe("a plane without listed networks", () => {
  it("A52 refuses every address that is not on the internet, however it is spelled, and stores nothing", async () => {
    await using harness = await startPlane();
    const good = await receive(204);
    const { port } = new URL(good.url);
    const refused = [
      "http://169.254.169.254/latest/meta-data/",
      "https://169.254.169.254/",
      `https://127.0.0.1:8443/`,
      `https://127.0.0.1:${port}/`,
      "https://[::ffff:127.0.0.1]/",
      "https://2130706433/",
      "https://0/",
      "https://127.1/",
      "https://0x7f.1/",
      "https://0177.0.0.1/",
      "https://[::1]/",
      "https://[fe80::1]/",
      "https://[64:ff9b::7f00:1]/",
      "https://10.0.0.1/",
      "https://192.168.0.1/",
      "https://100.64.0.1/",
      "https://localhost/",
      `https://localhost:${port}/`,
      "gopher://127.0.0.1/",
      "file:///etc/passwd",
      "https://user:pass@example.com/",
      "http://example.com/",
      "https://example.com:22/",
    ];
    for (const url of refused) {
      const { status, body } = await harness.call<{ code: string }>("POST", "/api/v1/webhooks", { json: { url } });
      expect([url, status, body.code]).toEqual([url, 422, "webhook_url_refused"]);
    }
    expect((await harness.call<{ items: Webhook[] }>("GET", "/api/v1/webhooks")).body.items).toEqual([]);
    expect(good.received).toEqual([]);
  });

  it("A52 judges again at each delivery: a network that is not listed any more gets nothing", async () => {
    const own = new TestPlane({ dir: join(root, "relisted"), args: ["--webhook-plain-http"] });
    await own.start({ FAIRLEAD_WEBHOOK_NETWORKS: "127.0.0.1" });
    const { url, received } = await receive(204);
    const { webhook } = await runCliJson<CreateWebhookResponse>(["webhooks", "create", url], own.cliEnv);
    await own.process.kill("SIGTERM");
    await own.start({});
    await runWarmCli(["webhooks", "test", webhook.webhookId], own.cliEnv);
    await eventually("it is refused", async () => {
      const { deliveries } = await own.get<WebhookDetail>(`/api/v1/webhooks/${webhook.webhookId}`);
      return /^(?:address|url)_refused/u.test(deliveries[0]?.reason ?? "");
    });
    expect(received).toEqual([]);
    await own[Symbol.asyncDispose]();
  });
});
