import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { callPlane, listenToPlane } from "../support/call-plane.ts";
import { OidcPlane } from "../support/oidc-plane.ts";
import { eventually } from "../support/eventually.ts";
import type { OidcProvider } from "../support/oidc-provider.ts";
import { runCli, runCliJson } from "../support/cli.ts";

const site = new OidcPlane();
const { plane } = site;
let provider: OidcProvider;

/** What a browser keeps after signing in. */
interface Browser {
  readonly cookie: string;
  readonly csrfToken: string;
  readonly setCookie: string;
  readonly body: Record<string, unknown>;
}
async function signIn(token: string): Promise<Browser> {
  const { status, body, headers } = await callPlane(plane, { method: "POST", path: "/api/v1/session", token });
  expect(status, JSON.stringify(body)).toBe(201);
  const setCookie = String(headers["set-cookie"]);
  return { setCookie, body, cookie: setCookie.split(";")[0] ?? "", csrfToken: String(body["csrfToken"]) };
}
/** What a page of the plane sends with a change; each attack takes something away or puts something else in its place. */
const own = ({ cookie, csrfToken }: Browser): Record<string, string> => ({
  ...{ cookie, origin: plane.url, "sec-fetch-site": "same-origin", "x-csrf-token": csrfToken },
});
let changes = 0;
const change = (headers: Record<string, string>) => {
  changes += 1;
  const json = { labels: { site: "berlin", change: String(changes) } };
  return callPlane(plane, { method: "PATCH", path: "/api/v1/devices/berlin-1", json, headers });
};
const look = (headers: Record<string, string>) => callPlane(plane, { method: "GET", path: "/api/v1/devices", headers });
const createToken = (...flags: string[]) =>
  runCliJson<{ token: string; tokenId: string }>(["tokens", "create", "--role", "operator", ...flags], plane.cliEnv);

beforeAll(async () => {
  await site.start();
  ({ provider } = site);
}, 60_000);
afterAll(() => site[Symbol.asyncDispose]());

describe("a session of a browser", () => {
  it("is a cookie that no script reads and no other site sends, and changes what its token may change", async () => {
    const browser = await signIn(plane.token);
    expect(browser.setCookie).toMatch(
      /^__Host-fairlead=[\w-]{43}; Path=\/; Secure; HttpOnly; SameSite=Strict; Max-Age=28800$/u,
    );
    expect((await look({ cookie: browser.cookie })).status).toBe(200);
    expect((await change(own(browser))).status).toBe(200);
    const { items } = await plane.get<{ items: object[] }>("/api/v1/audit?limit=1000");
    expect(JSON.stringify(items)).not.toContain(browser.cookie.slice(-20));
    expect(JSON.stringify(items)).toContain("session.create");
  });

  it("is found again after the page was loaded anew, with what changes need", async () => {
    const browser = await signIn(plane.token);
    const found = await callPlane(plane, {
      method: "GET",
      path: "/api/v1/session",
      headers: { cookie: browser.cookie },
    });
    expect(found.body).toEqual(browser.body);
  });

  it.each<readonly [string, Record<string, string | null>]>([
    [
      "by a form on another site",
      { origin: "https://evil.example", "sec-fetch-site": "cross-site", "x-csrf-token": null },
    ],
    ["by another site that has the token", { origin: "https://evil.example", "sec-fetch-site": "cross-site" }],
    ["by another site in a browser that does not tell", { origin: "https://evil.example", "sec-fetch-site": null }],
    ["by another port of this host", { origin: "https://localhost:1", "sec-fetch-site": "same-site" }],
    ["by a page without the token", { "x-csrf-token": null }],
    ["by a page with a wrong token", { "x-csrf-token": "x".repeat(43) }],
    ["by something without an origin", { origin: null }],
    ["by a sandboxed frame", { origin: "null" }],
  ])("changes nothing when it is used %s", async (_what, taken) => {
    const browser = await signIn(plane.token);
    const headers = Object.entries({ ...own(browser), ...taken }).filter(
      (pair): pair is [string, string] => pair[1] !== null,
    );
    const answer = await change(Object.fromEntries(headers));
    expect([answer.status, answer.body["code"]]).toEqual([403, "forbidden"]);
    const { labels } = await plane.device("berlin-1");
    expect(labels["change"]).not.toBe(String(changes));
  });

  it("is not needed beside a bearer token, which no browser sends by itself", async () => {
    const headers = { authorization: `Bearer ${plane.token}`, origin: "https://elsewhere.example" };
    expect((await change(headers)).status).toBe(200);
  });

  it("has the rights and the part of the fleet of its token", async () => {
    const { token } = await createToken("--selector", "site=berlin");
    const browser = await signIn(token);
    expect(browser.body).toMatchObject({ role: "operator", selector: "site=berlin" });
    expect(JSON.stringify((await look({ cookie: browser.cookie })).body)).not.toContain("munich");
    const made = await callPlane(plane, {
      method: "POST",
      path: "/api/v1/tokens",
      json: { role: "admin" },
      headers: own(browser),
    });
    expect(made.status).toBe(403);
  });

  it("ends with its token, and hears nothing more from that moment", async () => {
    const { token, tokenId } = await createToken();
    const browser = await signIn(token);
    await using listener = await listenToPlane(plane, "", { cookie: browser.cookie });
    expect((await runCli(["tokens", "revoke", tokenId, "--yes"], plane.cliEnv)).code).toBe(0);
    expect((await look({ cookie: browser.cookie })).status).toBe(401);
    expect((await change(own(browser))).status).toBe(401);
    await change({ authorization: `Bearer ${plane.token}` });
    await eventually("the plane ends the stream", () => !listener.isOpen());
    expect(listener.text()).not.toContain("berlin-1");
  });

  it("ends when it is signed out, and another one of the same token goes on", async () => {
    const [first, second] = [await signIn(plane.token), await signIn(plane.token)];
    const end = (headers: Record<string, string>) =>
      callPlane(plane, { method: "DELETE", path: "/api/v1/session", headers });
    expect((await end({ cookie: first.cookie })).status).toBe(403);
    const answer = await end(own(first));
    expect([answer.status, String(answer.headers["set-cookie"])]).toEqual([204, expect.stringContaining("Max-Age=0")]);
    expect((await look({ cookie: first.cookie })).status).toBe(401);
    expect((await look({ cookie: second.cookie })).status).toBe(200);
  });

  it("does not begin another one, is not two at once, and there are not too many of one token", async () => {
    const { token } = await createToken();
    const first = await signIn(token);
    const again = await callPlane(plane, { method: "POST", path: "/api/v1/session", headers: own(first) });
    expect([again.status, again.body["code"]]).toEqual([409, "conflict"]);
    expect((await look({ cookie: `${first.cookie}; ${first.cookie}` })).status).toBe(401);
    for (let count = 0; count < 20; count += 1) await signIn(token);
    expect((await look({ cookie: first.cookie })).status).toBe(401);
  });

  it("of a person ends with what the issuer gave", async () => {
    provider.tokenLifeS = 3;
    const token = await provider.sign({ sub: "ada", groups: ["fleet-ops"], place: { sites: ["berlin"] } });
    const browser = await signIn(token);
    expect(browser.body).toMatchObject({ actor: `oidc:${provider.issuer}#ada`, selector: "site=berlin" });
    expect((await change(own(browser))).status).toBe(200);
    await eventually("the session has ended", async () => {
      const { status } = await callPlane(plane, {
        method: "GET",
        path: "/api/v1/session",
        headers: { cookie: browser.cookie },
      });
      return status === 401;
    });
  });

  it("is asked for by the page, which keeps no token and runs no script but its own", async () => {
    const page = await callPlane(plane, { method: "GET", path: "/" });
    expect(page.headers["content-security-policy"]).toContain("script-src 'sha256-");
    expect(String(page.headers["content-security-policy"])).toContain("frame-ancestors 'none'");
  });
});
