import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createSessionSecret, readSessionSecret, toCsrfToken, toSetCookie, whyForeign } from "./browser-session.ts";

const secret = createSessionSecret();
const own = {
  method: "POST",
  host: "plane.example:8443",
  origin: "https://plane.example:8443",
  fetchSite: "same-origin",
  csrfToken: toCsrfToken(secret),
} as const;

describe("a change that a cookie vouches for", () => {
  it("is served to a page of the plane, also by a browser that does not say from which site", () => {
    expect(whyForeign(own, secret)).toBeNull();
    expect(whyForeign({ ...own, fetchSite: null }, secret)).toBeNull();
  });

  it.each([
    ["another site", { fetchSite: "cross-site" }],
    ["a neighbour's site", { fetchSite: "same-site" }],
    ["the address bar", { fetchSite: "none" }],
    ["another origin", { origin: "https://evil.example" }],
    ["the same host without TLS", { origin: "http://plane.example:8443" }],
    ["another port", { origin: "https://plane.example" }],
    ["an origin that begins alike", { origin: "https://plane.example:8443.evil.example" }],
    ["a sandbox", { origin: "null" }],
    ["nowhere", { origin: null }],
    ["a page that has no token", { csrfToken: null }],
    ["a page that has an empty token", { csrfToken: "" }],
    ["a page that has another session's token", { csrfToken: toCsrfToken(createSessionSecret()) }],
    ["a request without a host", { host: null }],
  ])("is refused from %s", (_what, change) => {
    expect(whyForeign({ ...own, ...change }, secret)).not.toBeNull();
  });

  it("is never served with anything but the token of its own session", () => {
    fc.assert(
      fc.property(fc.string(), (csrfToken) => {
        fc.pre(csrfToken !== own.csrfToken);
        expect(whyForeign({ ...own, csrfToken }, secret)).not.toBeNull();
      }),
    );
  });
});

it("a look needs no token, but is not served to another site either", () => {
  const look = { ...own, method: "GET", origin: null, csrfToken: null };
  expect(whyForeign(look, secret)).toBeNull();
  expect(whyForeign({ ...look, fetchSite: "none" }, secret)).toBeNull();
  expect(whyForeign({ ...look, fetchSite: "cross-site" }, secret)).not.toBeNull();
});

describe("the cookie", () => {
  it("is one that only this host gets, over TLS, and no script reads", () => {
    expect(toSetCookie("s", 60)).toBe("__Host-fairlead=s; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=60");
  });

  it("is found among others, and not believed when it is there twice or has another form", () => {
    expect(readSessionSecret(`a=b; __Host-fairlead=${secret}; c`)).toBe(secret);
    expect(readSessionSecret(`__Host-fairlead=${secret}; __Host-fairlead=${secret}`)).toBeUndefined();
    expect(readSessionSecret("__Host-fairlead=short")).toBeUndefined();
    expect(readSessionSecret(`x__Host-fairlead=${secret}`)).toBeUndefined();
    expect(readSessionSecret(null)).toBeUndefined();
  });
});
