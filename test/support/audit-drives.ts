import type { PlaneCall } from "./call-plane.ts";
import { runCli } from "./cli.ts";
import { createRequest } from "../integration/plane-harness.ts";
import { newFingerprint, seededAlert, toDigest, unknownId, type AuditWorld, type Told } from "./audit-world.ts";

export interface Drive {
  /** Makes the route change something, from this address; what else it needs comes from elsewhere. */
  readonly change: (world: AuditWorld, from: string) => Promise<Told>;
  /** A well-formed request that is refused for what it names, and with which code; null: it names nothing. */
  readonly refusal: (Partial<PlaneCall> & { readonly of?: readonly string[]; readonly code: string }) | null;
}

const device = "nobody-1";
const noDigest = `sha256:${"0".repeat(64)}`;
const reason = "as the guard asks";
const unknownChallenge = { of: [unknownId("chl")], json: { secret: "AAAA" }, code: "activation_refused" };
const spec = (version: string) => ({
  ...{ slot: "reader", model: "digit-reader", version, selector: "site=guard" },
  stages: [{ name: "all", target: { kind: "percent", percent: 100 } }],
});

/** The route's own call as the administrator, when nothing more has to be there. */
const asAdmin =
  (method: string, toPath: (world: AuditWorld) => Promise<string> | string, json?: unknown): Drive["change"] =>
  async (world, from) => {
    const path = await toPath(world);
    await world.ask({ method, path, json, from, token: world.plane.token });
    return { actor: "admin" };
  };
const post = (path: string, json?: unknown) => asAdmin("POST", () => path, json);

async function createWebhook({ post: ask }: AuditWorld): Promise<string> {
  const { body } = await ask("/api/v1/webhooks", { url: "http://127.0.0.1:9/in" });
  return String((body["webhook"] as { webhookId: string }).webhookId);
}
async function allowEndorsement({ post: ask }: AuditWorld, fingerprint: string): Promise<string> {
  await ask("/api/v1/enrolments/endorsements", { fingerprint });
  return fingerprint;
}
async function signIn(world: AuditWorld, from: string): Promise<Record<string, string>> {
  const { headers, body } = await world.post("/api/v1/session", undefined, { from });
  const cookie = String(headers["set-cookie"]).split(";")[0] ?? "";
  return {
    cookie,
    origin: world.plane.url,
    "sec-fetch-site": "same-origin",
    "x-csrf-token": String(body["csrfToken"]),
  };
}

/** How each route that may change something is driven, in this order: a later one may need what an earlier one made. */
export const drives: Readonly<Record<string, Drive>> = {
  "POST /api/v1/tokens": { change: post("/api/v1/tokens", { role: "viewer" }), refusal: null },
  "DELETE /api/v1/tokens/{token}": {
    change: asAdmin("DELETE", async ({ post: ask }) => {
      const { body } = await ask("/api/v1/tokens", { role: "viewer" });
      return `/api/v1/tokens/${String(body["tokenId"])}`;
    }),
    refusal: { of: [unknownId("adm")], code: "not_found" },
  },
  "POST /api/v1/session": {
    change: async (world, from) => {
      await signIn(world, from);
      return { actor: "admin" };
    },
    refusal: null,
  },
  "DELETE /api/v1/session": {
    change: async (world, from) => {
      const headers = await signIn(world, "127.0.0.1");
      await world.ask({ method: "DELETE", path: "/api/v1/session", headers, from });
      return { actor: "admin" };
    },
    refusal: { code: "not_found" },
  },
  "POST /api/v1/enrolments/tokens": { change: post("/api/v1/enrolments/tokens", { uses: 2 }), refusal: null },
  "DELETE /api/v1/enrolments/tokens/{token}": {
    change: asAdmin("DELETE", async ({ post: ask }) => {
      const { body } = await ask("/api/v1/enrolments/tokens", { uses: 2 });
      return `/api/v1/enrolments/tokens/${String(body["tokenId"])}`;
    }),
    refusal: { of: [unknownId("tok")], code: "not_found" },
  },
  "POST /api/v1/enrol": {
    change: async (world, from) => {
      for (const autoApprove of [false, true]) {
        const { json } = await world.toEnrolRequest(autoApprove);
        await world.ask({ method: "POST", path: "/api/v1/enrol", json, from });
      }
      return { actor: "plane:token-" };
    },
    refusal: { json: { token: "wrong", device, csr: "none", profile: "generic-x86" }, code: "token_invalid" },
  },
  "POST /api/v1/enrolments/{enrolment}/poll": {
    change: async (world, from) => {
      const { json } = await world.toEnrolRequest(false);
      const { body } = await world.ask({ method: "POST", path: "/api/v1/enrol", json });
      const path = `/api/v1/enrolments/${String(body["enrolmentId"])}/poll`;
      await world.ask({ method: "POST", path, json: { token: json.token }, from });
      return { actor: "anonymous" };
    },
    refusal: { of: [unknownId("enr")], json: { token: "wrong" }, code: "token_invalid" },
  },
  "POST /api/v1/enrolments/{enrolment}/approve": {
    change: asAdmin("POST", async (world) => `/api/v1/enrolments/${await world.wait()}/approve`, {}),
    refusal: { of: [unknownId("enr")], json: {}, code: "not_found" },
  },
  "POST /api/v1/enrolments/{enrolment}/deny": {
    change: asAdmin("POST", async (world) => `/api/v1/enrolments/${await world.wait()}/deny`, { reason }),
    refusal: { of: [unknownId("enr")], json: {}, code: "not_found" },
  },
  "POST /api/v1/enrolments/endorsements": {
    change: post("/api/v1/enrolments/endorsements", { fingerprint: newFingerprint() }),
    refusal: null,
  },
  "DELETE /api/v1/enrolments/endorsements/{fingerprint}": {
    change: asAdmin(
      "DELETE",
      async (world) => `/api/v1/enrolments/endorsements/${await allowEndorsement(world, newFingerprint())}`,
    ),
    refusal: { of: [newFingerprint()], code: "not_found" },
  },
  "POST /api/v1/enrol/endorsed": {
    change: async ({ toTpm, ask }, from) => {
      const { request } = await toTpm();
      await ask({ method: "POST", path: "/api/v1/enrol/endorsed", json: request, from });
      return { actor: "anonymous" };
    },
    refusal: {
      json: { device, csr: "none", profile: "generic-x86", endorsementKey: "AAAA", publicArea: "AAAA" },
      code: "tpm_malformed",
    },
  },
  "POST /api/v1/enrol/endorsed/{challenge}": {
    change: async ({ toTpm, ask }, from) => {
      const { request, open } = await toTpm();
      const { body } = await ask({ method: "POST", path: "/api/v1/enrol/endorsed", json: request });
      const path = `/api/v1/enrol/endorsed/${String(body["challengeId"])}`;
      await ask({ method: "POST", path, json: { secret: await open(body) }, from });
      return { actor: "plane:ek-" };
    },
    refusal: unknownChallenge,
  },
  "POST /api/v1/device/session/challenge": {
    change: async ({ ask }, from) => {
      await ask({ method: "POST", path: "/api/v1/device/session/challenge", json: { device }, from });
      return { actor: "anonymous" };
    },
    refusal: null,
  },
  "POST /api/v1/device/session": {
    change: async ({ toTpm, ask }, from) => {
      const { name, session } = await toTpm();
      await ask({ method: "POST", path: "/api/v1/device/session", json: await session(), from });
      return { actor: `device:${name}` };
    },
    refusal: {
      json: {
        ...{ device, challenge: unknownId("ses"), publicKey: "AAAA" },
        ...{ identitySignature: "AAAA", keySignature: "AAAA" },
      },
      code: "session_refused",
    },
  },
  "POST /api/v1/device/certificate": {
    change: async ({ enrol, ask }, from) => {
      const identity = await enrol();
      const json = { csr: (await createRequest()).csr };
      await ask({ method: "POST", path: "/api/v1/device/certificate", json, identity, from });
      return { actor: `device:${identity.device}` };
    },
    refusal: { json: { csr: "no request" }, code: "csr_invalid" },
  },
  "PATCH /api/v1/devices/{device}": {
    change: asAdmin("PATCH", async ({ enrol }) => `/api/v1/devices/${(await enrol()).device}`, {
      labels: { site: "guard", floor: "2" },
    }),
    refusal: { of: [device], json: { labels: {} }, code: "not_found" },
  },
  "POST /api/v1/devices/{device}/decommission": {
    change: async (world, from) => {
      const path = `/api/v1/devices/${(await world.enrol()).device}/decommission`;
      for (const force of [false, true]) await world.post(path, { force, reason }, { from });
      return { actor: "admin" };
    },
    refusal: { of: [device], json: { reason }, code: "not_found" },
  },
  "POST /api/v1/devices/{device}/accept-configuration": {
    change: asAdmin("POST", ({ seeded }) => `/api/v1/devices/${seeded.other}/accept-configuration`, {
      ...{ reason, files: [{ name: "config.yaml", digest: noDigest }] },
    }),
    refusal: { of: [device], json: { reason, files: [{ name: "config.yaml", digest: noDigest }] }, code: "not_found" },
  },
  "DELETE /api/v1/devices/{device}": {
    change: asAdmin("DELETE", ({ seeded }) => `/api/v1/devices/${seeded.other}`),
    refusal: { of: [device], code: "not_found" },
  },
  "POST /api/v1/devices/{device}/release": {
    change: asAdmin("POST", ({ seeded }) => `/api/v1/devices/${seeded.cloned}/release`, { reason }),
    refusal: { of: [device], json: { reason }, code: "not_found" },
  },
  "POST /api/v1/device/wiped": {
    change: async ({ enrol, post: ask, ask: call }, from) => {
      const identity = await enrol();
      await ask(`/api/v1/devices/${identity.device}/decommission`, { reason });
      await call({ method: "POST", path: "/api/v1/device/wiped", json: { v: 1 }, identity, from });
      return { actor: `device:${identity.device}` };
    },
    refusal: { json: { v: 1 }, code: "conflict" },
  },
  "PUT /api/v1/artifacts/{digest}": {
    change: async ({ ask, model, plane }, from) => {
      const path = `/api/v1/artifacts/${toDigest(model)}?kind=onnx`;
      await ask({ method: "PUT", path, bytes: model, token: plane.token, from });
      return { actor: "admin" };
    },
    refusal: { of: [noDigest], bytes: Buffer.from("no model"), code: "digest_mismatch" },
  },
  "POST /api/v1/models/{model}/versions": {
    change: async ({ post: ask, model }, from) => {
      const builds = [{ digest: toDigest(model), target: {} }];
      await ask("/api/v1/models/digit-reader/versions", { version: "1.0.0", builds }, { from });
      return { actor: "admin" };
    },
    refusal: {
      of: ["no-model"],
      json: { version: "1.0.0", builds: [{ digest: noDigest, target: {} }] },
      code: "artifact_unknown",
    },
  },
  "POST /api/v1/trust/publications": {
    // Signed where the keys lie: the command line asks, from an address of its own choice.
    change: async ({ plane }) => {
      const { code, stderr } = await runCli(["releases", "sign", "digit-reader", "1.0.0"], plane.cliEnv);
      if (code !== 0) throw new Error(stderr);
      return { actor: "admin", from: /127\.0\.0\.1$|^::1$/u };
    },
    refusal: { json: { documents: { "7.root.json": "{}" } }, code: "metadata_refused" },
  },
  "POST /api/v1/trust/online-keys": { change: post("/api/v1/trust/online-keys"), refusal: null },
  "POST /api/v1/models/{model}/versions/{version}/acceptances": {
    change: post("/api/v1/models/bad-reader/versions/1.0.0/acceptances", { reason }),
    refusal: { of: ["no-model", "1.0.0"], json: { reason }, code: "not_found" },
  },
  "POST /api/v1/rollouts": {
    change: async ({ enrol, post: ask }, from) => {
      await enrol();
      await ask("/api/v1/rollouts", spec("1.0.0"), { from });
      return { actor: "admin" };
    },
    refusal: { json: spec("9.9.9"), code: "release_missing" },
  },
  "POST /api/v1/rollouts/{rollout}/actions": {
    change: async ({ plane, post: ask }, from) => {
      const { items } = await plane.get<{ items: { rolloutId: string; slot?: string; createdBy: string }[] }>(
        "/api/v1/rollouts",
      );
      const path = `/api/v1/rollouts/${items.find(({ createdBy }) => createdBy.startsWith("admin:adm-"))?.rolloutId}`;
      for (const action of ["pause", "resume", "abort"]) await ask(`${path}/actions`, { action, reason }, { from });
      return { actor: "admin" };
    },
    refusal: { of: [unknownId("rol")], json: { action: "abort" }, code: "not_found" },
  },
  "POST /api/v1/alerts/{alert}/resolve": {
    change: post(`/api/v1/alerts/${seededAlert}/resolve`, { reason }),
    refusal: { of: [unknownId("alr")], json: { reason }, code: "not_found" },
  },
  "POST /api/v1/webhooks": {
    change: post("/api/v1/webhooks", { url: "http://127.0.0.1:9/in" }),
    refusal: { json: { url: "http://169.254.169.254/in" }, code: "webhook_url_refused" },
  },
  "POST /api/v1/webhooks/{webhook}/test": {
    change: asAdmin("POST", async (world) => `/api/v1/webhooks/${await createWebhook(world)}/test`),
    refusal: { of: [unknownId("whk")], code: "not_found" },
  },
  "DELETE /api/v1/webhooks/{webhook}": {
    change: asAdmin("DELETE", async (world) => `/api/v1/webhooks/${await createWebhook(world)}`),
    refusal: { of: [unknownId("whk")], code: "not_found" },
  },
};

/** Actions that a route declares and that need more than one request to come about, and the test that reads their entries. */
export const seenElsewhere: Readonly<Record<string, string>> = {
  "artifact.heal": "../../apps/control-plane/src/registry/registry.test.ts",
  "device.renew-certificate": "audit-devices.test.ts",
  "rollout.promote": "plane-races.test.ts",
  "rollout.undo": "rollout-controls.test.ts",
  "rollout.retry": "rollout-controls.test.ts",
};
