import { type Role } from "@fairlead/protocol";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runWarmCli, runCliJson } from "../support/cli.ts";
import { callPlane, listenToPlane, readRoutes, type RouteFacts } from "../support/call-plane.ts";
import { TestPlane } from "../support/plane.ts";
import { publishDigitReader } from "../support/publish.ts";
import { seedFleet, type SeededSite } from "../support/seed-fleet.ts";

const dir = mkdtempSync(join(tmpdir(), "scope-"));
const plane = new TestPlane({ dir });
const tokens = new Map<Role, string>();
let sites: readonly [SeededSite, SeededSite];
let routes: readonly RouteFacts[] = [];

const call = (method: string, path: string, options: { readonly role: Role; readonly json?: unknown }) =>
  callPlane(plane, { method, path, token: tokens.get(options.role) ?? "", json: options.json });
const asAdmin = (method: string, path: string, json?: unknown) =>
  callPlane(plane, { method, path, token: plane.token, json });

const readOnly = { kind: "percent", percent: 100 } as const;
const spec = (selector: string) => ({
  ...{ slot: "reader", model: "digit-reader", version: "1.0.0", selector },
  stages: [{ name: "all", target: readOnly }],
});

/** Every route at which one object is named: how to name it, and a body that would be admitted. Each asks with this role. */
const ended = { reason: "its site is closed" };
const single: Readonly<
  Record<string, { readonly role: Role; readonly of: (site: SeededSite) => string; readonly json?: unknown }>
> = {
  "GET /api/v1/devices/{device}": { role: "viewer", of: ({ device }) => device },
  "PATCH /api/v1/devices/{device}": {
    ...{ role: "operator", of: ({ device }) => device, json: { labels: { site: "berlin" } } },
  },
  "DELETE /api/v1/devices/{device}": { role: "admin", of: ({ device }) => device },
  "POST /api/v1/devices/{device}/decommission": { role: "admin", of: ({ device }) => device, json: ended },
  "POST /api/v1/devices/{device}/release": { role: "admin", of: ({ device }) => device, json: ended },
  "POST /api/v1/devices/{device}/accept-configuration": {
    ...{ role: "admin", of: ({ device }) => device },
    json: { ...ended, files: [{ name: "config.yaml", digest: null }] },
  },
  "GET /api/v1/rollouts/{rollout}": { role: "viewer", of: ({ rollout }) => rollout },
  "GET /api/v1/rollouts/{rollout}/history": { role: "viewer", of: ({ rollout }) => rollout },
  "POST /api/v1/rollouts/{rollout}/actions": {
    ...{ role: "operator", of: ({ rollout }) => rollout, json: { action: "abort" } },
  },
  "GET /api/v1/remediations/{remediation}": { role: "viewer", of: ({ remediation }) => remediation },
  "DELETE /api/v1/enrolments/tokens/{token}": { role: "admin", of: ({ enrolmentToken }) => enrolmentToken },
  "POST /api/v1/enrolments/{enrolment}/approve": { role: "approver", of: ({ enrolment }) => enrolment, json: {} },
  "POST /api/v1/enrolments/{enrolment}/deny": { role: "approver", of: ({ enrolment }) => enrolment, json: {} },
};
/** Routes that answer with, or make, many objects: each has a test of its own below. */
const many = [
  "GET /api/v1/devices",
  "GET /api/v1/rollouts",
  "POST /api/v1/rollouts",
  "GET /api/v1/remediations",
  "GET /api/v1/alerts",
  "GET /api/v1/enrolments",
  "GET /api/v1/enrolments/tokens",
  "POST /api/v1/enrolments/tokens",
  "GET /api/v1/audit",
  "GET /api/v1/events",
];
/** What is the same for everybody: the registry, and what devices may trust. */
const shared = [
  "GET /api/v1/artifacts/{digest}",
  "GET /api/v1/models",
  "GET /api/v1/models/{model}",
  "GET /api/v1/models/{model}/versions/{version}",
  "DELETE /api/v1/session",
  "GET /api/v1/session",
  "POST /api/v1/session",
  "GET /api/v1/releases",
  "GET /api/v1/releases/{release}",
  "GET /api/v1/trust",
  "GET /api/v1/trust/metadata/{file}",
  "GET /api/v1/trust/targets/{model}/{version}/{file}",
];
const unchangedBody = { type: "about:blank" };
const withoutPath = (body: Record<string, unknown>) => ({ ...unchangedBody, code: body["code"], hint: body["hint"] });

beforeAll(async () => {
  mkdirSync(join(dir, "data"), { recursive: true });
  const [berlin, munich] = await seedFleet(join(dir, "data"), ["berlin", "munich"]);
  if (berlin === undefined || munich === undefined) throw new Error("two sites are seeded");
  sites = [berlin, munich];
  await plane.start();
  for (const role of ["viewer", "operator", "approver", "admin"] as const) {
    const args = ["tokens", "create", "--role", role, "--selector", "site=berlin"];
    tokens.set(role, (await runCliJson<{ token: string }>(args, plane.cliEnv)).token);
  }
  routes = await readRoutes(plane);
}, 60_000);
afterAll(async () => {
  await plane[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

describe("a token of a part of the fleet", () => {
  it("A45 is judged at every route: the tables of this test name each one, with what it is for such a token", () => {
    const names = (reach: string) =>
      routes.filter((route) => route.reach === reach && route.isForPeople).map(({ name }) => name);
    expect(names("narrowed").toSorted()).toEqual([...Object.keys(single), ...many].toSorted());
    expect(names("shared").toSorted()).toEqual(shared.toSorted());
    expect(names("fleet").length).toBeGreaterThan(5);
  });

  it("A45 finds nothing under the id of an object of another part, at every route, and changes nothing", async () => {
    const [, munich] = sites;
    const { body: before } = await asAdmin("GET", `/api/v1/devices/${munich.device}`);
    for (const [name, { role, of, json }] of Object.entries(single)) {
      const [method = "", path = ""] = name.split(" ");
      const ask = (id: string) => call(method, path.replace(/\{\w+\}/u, id), { role, json });
      const foreign = await ask(of(munich));
      expect(foreign.status, `${name}: ${JSON.stringify(foreign.body)}`).toBe(404);
      // Exactly what an id answers that nobody has.
      const absent = await ask(of({ ...munich, device: "nobody-1" }).replace(/.{3}$/u, "zzz"));
      expect(absent.status, name).toBe(404);
      expect(withoutPath(foreign.body), name).toEqual(withoutPath(absent.body));
    }
    expect((await asAdmin("GET", `/api/v1/devices/${munich.device}`)).body).toEqual(before);
  });

  it("A45 finds its own objects under the same routes", async () => {
    const [berlin] = sites;
    for (const [name, { role, of, json }] of Object.entries(single)) {
      const [method = "", path = ""] = name.split(" ");
      if (method === "DELETE" || name.endsWith("/decommission")) continue;
      const answer = await call(method, path.replace(/\{\w+\}/u, of(berlin)), { role, json });
      // A cancelled rollout cannot be aborted, and a made-up request for a certificate cannot be granted.
      expect([200, 409, 422], `${name}: ${JSON.stringify(answer.body)}`).toContain(answer.status);
    }
  });

  it("is refused at every route that is about the whole fleet, whatever id is named there", async () => {
    for (const { name, method, path, permission } of routes.filter((route) => route.reach === "fleet")) {
      if (permission === "public" || permission === "device") continue;
      const answer = await call(method, path.replaceAll(/\{\w+\}/gu, "any"), { role: "admin" });
      expect([answer.status, answer.body["code"]], name).toEqual([403, "forbidden"]);
    }
  });

  it("sees only its part in lists", async () => {
    const [berlin, munich] = sites;
    for (const path of ["devices", "rollouts", "remediations", "alerts", "enrolments"]) {
      const own = JSON.stringify((await call("GET", `/api/v1/${path}`, { role: "viewer" })).body);
      const whole = JSON.stringify((await asAdmin("GET", `/api/v1/${path}`)).body);
      expect(own, path).toContain("berlin");
      expect(own, path).not.toContain("munich");
      expect(whole, path).toContain("munich");
    }
    const tokensOf = await call("GET", "/api/v1/enrolments/tokens", { role: "admin" });
    expect((tokensOf.body["items"] as { tokenId: string }[]).map(({ tokenId }) => tokenId)).toEqual([
      berlin.enrolmentToken,
    ]);
    const both = await call("GET", `/api/v1/devices?selector=${encodeURIComponent("site=munich")}`, { role: "viewer" });
    expect(both.body["items"]).toEqual([]);
    expect([berlin.device, munich.device]).toEqual(["berlin-1", "munich-1"]);
  });

  it("reads in the audit log what happened to its devices, and nothing else", async () => {
    for (const { device, site } of sites)
      await asAdmin("PATCH", `/api/v1/devices/${device}`, { labels: { site, seen: "yes" } });
    const { body } = await call("GET", "/api/v1/audit?limit=1000", { role: "viewer" });
    const entries = body["items"] as { subject: string; action: string }[];
    expect(entries.map(({ subject }) => subject)).toContain("berlin-1");
    expect(JSON.stringify(entries)).not.toContain("munich");
    expect(entries.filter(({ action }) => /^(?:token|trust|request)\./u.test(action))).toEqual([]);
    const foreign = await call("GET", "/api/v1/audit?subject=munich-1", { role: "viewer" });
    expect(foreign.body["items"]).toEqual([]);
  });

  it("hears of its own devices only, while another's change first", async () => {
    await using listener = await listenToPlane(plane, tokens.get("viewer") ?? "");
    const [berlin, munich] = sites;
    for (const { device, site } of [munich, berlin])
      await asAdmin("PATCH", `/api/v1/devices/${device}`, { labels: { site, heard: "yes" } });
    await listener.heard(/"subject":"berlin-1"/u);
    expect(listener.text()).not.toContain("munich");
  });

  it("cannot move a device out of its part, nor make tokens for devices outside it", async () => {
    const [{ device }] = sites;
    const moved = await call("PATCH", `/api/v1/devices/${device}`, {
      role: "operator",
      json: { labels: { site: "munich" } },
    });
    expect([moved.status, moved.body["code"]]).toEqual([403, "forbidden"]);
    const make = (labels: object) => call("POST", "/api/v1/enrolments/tokens", { role: "admin", json: { labels } });
    expect((await make({ site: "munich" })).status).toBe(403);
    expect((await make({})).status).toBe(403);
    expect((await make({ site: "berlin" })).status).toBe(201);
  });

  it("rolls out to its part, whatever selector it gives, and devices that join later must lie in it too", async () => {
    await publishDigitReader(plane, "1.0.0");
    const created = await call("POST", "/api/v1/rollouts", { role: "operator", json: spec("") });
    expect(created.status, JSON.stringify(created.body)).toBe(201);
    expect(created.body["spec"]).toMatchObject({ selector: "site in (berlin)" });
    const foreign = await call("POST", "/api/v1/rollouts", { role: "operator", json: spec("site=munich") });
    expect([foreign.status, foreign.body["code"]]).toEqual([422, "selector_empty"]);
    const [, munich] = sites;
    const slots = (await asAdmin("GET", `/api/v1/devices/${munich.device}`)).body["slots"];
    expect(slots).toEqual([]);
    const id = String(created.body["rolloutId"]);
    const act = (action: string) =>
      call("POST", `/api/v1/rollouts/${id}/actions`, { role: "operator", json: { action } });
    expect((await act("pause")).status).toBe(200);
    // A device of the rollout that is moved away by somebody else takes the rollout out of sight.
    expect((await asAdmin("PATCH", "/api/v1/devices/berlin-1", { labels: { site: "munich" } })).status).toBe(200);
    expect((await act("abort")).status).toBe(404);
    expect((await asAdmin("PATCH", "/api/v1/devices/berlin-1", { labels: { site: "berlin" } })).status).toBe(200);
    expect((await act("abort")).status).toBe(200);
  });

  it("has a selector only where that means something", async () => {
    const make = (...args: string[]) => runWarmCli(["tokens", "create", ...args], plane.cliEnv);
    expect(await make("--role", "publisher", "--selector", "site=berlin")).toMatchObject({ code: 2 });
    expect(await make("--role", "viewer", "--selector", "")).toMatchObject({ code: 2 });
    expect(await make("--role", "viewer", "--selector", "site in")).toMatchObject({ code: 2 });
    const listed = await runCliJson<{ role: Role; selector: string | null }[]>(["tokens", "list"], plane.cliEnv);
    expect(listed.filter(({ selector }) => selector === "site=berlin")).toHaveLength(4);
  });
});
