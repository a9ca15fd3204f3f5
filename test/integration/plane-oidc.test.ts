import { createHmac } from "node:crypto";
import type { AuditEntry } from "@fairlead/protocol";
import { base64url, exportSPKI, type JWTPayload } from "jose";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { callPlane } from "../support/call-plane.ts";
import { OidcPlane } from "../support/oidc-plane.ts";
import { eventually } from "../support/eventually.ts";
import { publishDigitReader } from "../support/publish.ts";
import { createProviderKey, type OidcProvider } from "../support/oidc-provider.ts";

const site = new OidcPlane(["--four-eyes"]);
const { plane } = site;
let provider: OidcProvider;

const everywhere = { place: { sites: ["everywhere"] } };
const admin = { sub: "ada", groups: ["staff", "fleet-admins"], ...everywhere } satisfies JWTPayload;
let callers = 0;
/** Each from an address of its own: that guesses from one address are stopped is another test. */
const get = (token: string, path = "/api/v1/devices") => {
  callers += 1;
  return callPlane(plane, { method: "GET", path, token, from: `127.0.${callers >> 7}.${(callers & 127) + 1}` });
};
const encode = (value: unknown) => base64url.encode(JSON.stringify(value));
const nowS = () => Math.floor(Date.now() / 1_000);

beforeAll(async () => {
  await site.start();
  ({ provider } = site);
}, 60_000);
afterAll(() => site[Symbol.asyncDispose]());

describe("a person whom the issuer signed in", () => {
  it("is told where to sign in, without a token", async () => {
    const answer = await callPlane(plane, { method: "GET", path: "/api/v1/oidc" });
    expect(answer.body).toEqual({
      ...{
        issuer: provider.issuer,
        clientId: "fairlead-cli",
        scopes: ["openid", "offline_access"],
        tokenUse: "id_token",
      },
    });
  });

  it("has the role that the claims are mapped to, and is named in the audit log", async () => {
    const token = await provider.sign(admin);
    expect((await get(token)).status).toBe(200);
    const path = "/api/v1/devices/munich-1";
    const json = { labels: { site: "munich", by: "ada" } };
    expect((await callPlane(plane, { method: "PATCH", path, token, json })).status).toBe(200);
    const { items } = await plane.get<{ items: { actor: string; action: string }[] }>("/api/v1/audit?subject=munich-1");
    expect(items[0]).toMatchObject({ actor: `oidc:${provider.issuer}#ada`, action: "device.label" });
  });

  it("may only what the role may, and the configuration's order decides between two", async () => {
    const watch = await provider.sign({ ...admin, groups: ["fleet-watch"] });
    const change = { method: "PATCH", path: "/api/v1/devices/munich-1", json: { labels: {} } };
    expect((await callPlane(plane, { ...change, token: watch })).body["code"]).toBe("forbidden");
    const both = await provider.sign({ ...admin, groups: ["fleet-watch", "fleet-admins"] });
    expect((await get(both, "/api/v1/tokens")).status).toBe(200);
  });

  it("A63 is the same person with a token that she made herself, and with one that was made for her", async () => {
    await publishDigitReader(plane, "1.0.0");
    const token = await provider.sign(admin);
    const post = (path: string, as: string, json: object) =>
      callPlane(plane, { method: "POST", path, token: as, json, from: "127.0.9.1" });
    const spec = { slot: "reader", model: "digit-reader", version: "1.0.0", selector: "site=berlin" };
    const stages = [{ name: "all", target: { kind: "percent", percent: 100 } }];
    const { body } = await post("/api/v1/rollouts", token, { ...spec, stages });
    const promote = (as: string) =>
      post(`/api/v1/rollouts/${String(body["rolloutId"])}/actions`, as, { action: "promote" });
    const own = await post("/api/v1/tokens", token, { role: "approver" });
    const given = await plane.post("/api/v1/tokens", { role: "approver", person: `oidc:${provider.issuer}#ada` });
    expect(own.body["person"]).toBe(given["person"]);
    for (const as of [token, String(own.body["token"]), String(given["token"])])
      expect((await promote(as)).body["code"]).toBe("forbidden");
    expect((await promote(await provider.sign({ ...admin, sub: "bob" }))).status).toBe(200);
  });

  it("reaches the part of the fleet that the claims are mapped to", async () => {
    const token = await provider.sign({ ...admin, place: { sites: "berlin" } });
    const names = ((await get(token)).body["items"] as { device: string }[]).map(({ device }) => device);
    expect(names).toEqual(["berlin-1"]);
    expect((await get(token, "/api/v1/devices/munich-1")).status).toBe(404);
    expect((await get(token, "/metrics")).status).toBe(403);
  });

  it.each([
    ["no role", { sub: "eve", ...everywhere }],
    ["a role that nobody mapped", { sub: "eve", groups: ["others"], ...everywhere }],
    ["a claim of another form", { sub: "eve", groups: { "fleet-admins": true }, ...everywhere }],
    ["no place", { sub: "eve", groups: ["fleet-admins"] }],
  ])("is known and may nothing with %s", async (_what, claims) => {
    const answer = await get(await provider.sign(claims));
    expect([answer.status, answer.body["code"]]).toEqual([403, "forbidden"]);
  });

  it.each(["ES256", "EdDSA"] as const)("may sign in with a key of the kind %s", async (alg) => {
    const key = await createProviderKey(`also-${alg}`, alg);
    provider.keys.push(key);
    const token = await provider.sign(admin, { key });
    await eventually(`the plane finds the key ${key.kid}`, async () => (await get(token)).status === 200);
  });

  it("signs in with another key after a rotation, and one that is not published opens nothing", async () => {
    const next = await createProviderKey("second");
    const before = await provider.sign(admin, { key: next });
    expect((await get(before)).status).toBe(401);
    provider.keys = [next, ...provider.keys];
    await eventually("the plane finds the new key", async () => (await get(before)).status === 200);
  });
});

describe("A48 a forged token", () => {
  const attacks: readonly (readonly [string, () => Promise<string> | string])[] = [
    [
      "without a signature",
      () =>
        `${encode({ alg: "none" })}.${encode({ ...admin, iss: provider.issuer, aud: "fairlead-cli", iat: nowS(), exp: nowS() + 60 })}.`,
    ],
    [
      "signed with the issuer's public key as a shared secret",
      async () => {
        const [key] = provider.keys;
        if (key === undefined) throw new Error("no key");
        const head = encode({ alg: "HS256", kid: key.kid });
        const body = encode({ ...admin, iss: provider.issuer, aud: "fairlead-cli", iat: nowS(), exp: nowS() + 60 });
        const signature = createHmac("sha256", await exportSPKI(key.publicKey))
          .update(`${head}.${body}`)
          .digest("base64url");
        return `${head}.${body}.${signature}`;
      },
    ],
    ["whose key name is a path", async () => provider.sign(admin, { key: await createProviderKey("../../dev/null") })],
    ["whose key name is SQL", async () => provider.sign(admin, { key: await createProviderKey("x' OR 1=1; --") })],
    ["of a key with the right name", async () => provider.sign(admin, { key: await createProviderKey("first") })],
    ["that has expired", () => provider.sign({ ...admin, exp: nowS() - 6 })],
    ["that is not valid yet", () => provider.sign({ ...admin, nbf: nowS() + 60 })],
    ["that never ends", () => provider.sign({ ...admin, exp: undefined })],
    ["for somebody else", () => provider.sign({ ...admin, aud: "another-service" })],
    ["of another issuer", () => provider.sign({ ...admin, iss: "https://id.example" })],
    ["of nobody", () => provider.sign({ ...admin, sub: undefined })],
    ["of somebody with a line break", () => provider.sign({ ...admin, sub: "ada\nadmin:adm-1" })],
    [
      "with a header that it says is critical",
      () =>
        provider
          .sign(admin, { header: { crit: ["b64"], b64: true } })
          .then((token) => token.replace(/^[^.]+/u, encode({ alg: "RS256", kid: "second", crit: ["x"], x: 1 }))),
    ],
    [
      "that was changed",
      async () =>
        (await provider.sign({ ...admin, groups: ["fleet-watch"] })).replace(
          /\.[^.]+\./u,
          `.${encode({ ...admin, iss: provider.issuer, aud: "fairlead-cli", iat: nowS(), exp: nowS() + 60 })}.`,
        ),
    ],
    ["that is no token", () => "a.b.c"],
  ];

  it.each(attacks)("%s opens nothing, and is told of in the audit log", async (what, forge) => {
    const from = `127.0.9.${attacks.findIndex(([name]) => name === what) + 1}`;
    const answer = await callPlane(plane, { method: "GET", path: "/api/v1/devices", token: await forge(), from });
    expect([answer.status, answer.body["code"]], JSON.stringify(answer.body)).toEqual([401, "unauthenticated"]);
    const { items } = await plane.get<{ items: AuditEntry[] }>("/api/v1/audit?limit=20");
    const told = items.filter(({ details }) => details["from"] === from);
    expect(told).toMatchObject([{ actor: "anonymous", action: "request.refuse", reason: "unauthenticated" }]);
  });

  it.each(["jku", "x5u", "jwk"])("cannot bring its own key by the header %s, which is not looked at", async (name) => {
    const own = await createProviderKey("own");
    const before = provider.requests.length;
    const where = name === "jwk" ? own.jwk : `${provider.issuer}/evil`;
    const answer = await get(await provider.sign(admin, { key: own, header: { [name]: where } }));
    expect(answer.status).toBe(401);
    expect(provider.requests.slice(before)).not.toContain("/evil");
  });

  it("of 100 kB is refused before it is read, and so is one of 8 kB and a little", async () => {
    expect([431, 401]).toContain((await get("a".repeat(100_000)).catch(() => ({ status: 431 }))).status);
    const long = await provider.sign({ ...admin, padding: "x".repeat(7_000) });
    expect(long.length).toBeGreaterThan(8_192);
    expect((await get(long)).status).toBe(401);
    expect((await get(await provider.sign({ ...admin, padding: "x".repeat(4_000) }))).status).toBe(200);
  });

  it("does not become a request to the issuer, however many come", async () => {
    const key = await createProviderKey("made-up");
    const before = provider.requests.length;
    for (let count = 0; count < 30; count += 1)
      await get(await provider.sign(admin, { key, header: { kid: `k${count}` } }));
    // Two documents of one look, and perhaps of a second one five seconds later.
    expect(provider.requests.length - before).toBeLessThanOrEqual(4);
  });
});
