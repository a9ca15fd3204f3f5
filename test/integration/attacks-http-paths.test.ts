import { connect as connectTcp, type Socket } from "node:net";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { AuditEntry, Problem } from "@fairlead/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../support/eventually.ts";
import { sendRaw } from "../support/raw-http.ts";
import { enrol, startPlane, type Harness } from "./plane-harness.ts";

let harness: Harness;
let viewer = "";
let closed: readonly { readonly method: string; readonly path: string }[] = [];

beforeAll(async () => {
  harness = await startPlane();
  await enrol(harness, "path-1");
  viewer = (await harness.call<{ token: string }>("POST", "/api/v1/tokens", { json: { role: "viewer" } })).body.token;
  const { body } = await harness.call<{ paths: Record<string, Record<string, { "x-permission": string }>> }>(
    "GET",
    "/api/v1/openapi.json",
  );
  closed = Object.entries(body.paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([, operation]) => operation["x-permission"] !== "public")
      .map(([method]) => ({ method: method.toUpperCase(), path: path.replaceAll(/\{\w+\}/gu, "path-1") })),
  );
});
afterAll(() => harness[Symbol.asyncDispose]());

const ask = (line: string, ...headers: string[]) =>
  sendRaw({
    url: harness.plane.url,
    ca: harness.ca,
    parts: [[line, "host: localhost", ...headers, "", ""].join("\r\n")],
  });
const bearer = (token: string) => `authorization: Bearer ${token}`;

/** What two programs read differently: the last segment stands for the route that is meant. */
const spellings: readonly (readonly [string, (path: string) => string])[] = [
  ["a double slash in front", (path) => `/${path}`],
  ["double slashes", (path) => path.replaceAll("/", "//")],
  ["a slash behind", (path) => `${path}/`],
  ["a dot behind", (path) => `${path}.`],
  ["a dot segment behind", (path) => `${path}/.`],
  ["dot segments", (path) => path.replace("/api/", "/api/./")],
  ["a way through a public route", (path) => `/healthz/..${path}`],
  ["an encoded way through a public route", (path) => `/healthz/%2e%2e${path}`],
  ["a way with a semicolon", (path) => path.replace("/v1/", "/v1/..;/v1/")],
  ["a parameter", (path) => `${path};public=1`],
  ["a letter encoded twice", (path) => path.replace(/\/([a-z])([^/]*)$/u, "/%2561$2")],
  ["an encoded slash", (path) => path.replace("/v1/", "/v1%2f")],
  ["an encoded backslash", (path) => path.replace("/v1/", "/v1%5C")],
  ["a backslash", (path) => path.replace("/v1/", "/v1\\")],
  ["upper case", (path) => path.toUpperCase()],
  ["a NUL behind", (path) => `${path}%00`],
  ["a NUL and a public name behind", (path) => `${path}%00/healthz`],
  ["a fragment", (path) => `${path}#/healthz`],
  ["an overlong slash", (path) => path.replace("/v1/", "/v1%c0%af")],
  ["the absolute form", (path) => `https://localhost${path}`],
  ["the absolute form of elsewhere", (path) => `http://127.0.0.1${path}`],
];

describe("A55 paths", () => {
  it.each(spellings)(
    "A55 with %s reach no closed route without credentials, and none beyond one's role",
    async (_how, spell) => {
      expect(closed.length).toBeGreaterThan(30);
      for (const { method, path } of closed) {
        const line = `${method} ${spell(path)} HTTP/1.1`;
        const anonymous = await ask(line);
        expect([400, 401, 403, 404, 405], `${line}: ${anonymous.text}`).toContain(anonymous.status);
      }
      for (const [method, path] of [
        ["GET", "/api/v1/tokens"],
        ["GET", "/api/v1/webhooks"],
        ["DELETE", "/api/v1/devices/path-1"],
      ] as const) {
        const line = `${method} ${spell(path)} HTTP/1.1`;
        const { status, text } = await ask(line, bearer(viewer));
        expect([400, 403, 404, 405], `${line}: ${text}`).toContain(status);
      }
      expect((await harness.call("GET", "/api/v1/devices/path-1")).body).toMatchObject({ lifecycle: "enrolled" });
    },
  );

  it("A55 in one encoding are the route that they name, with the same permission", async () => {
    expect((await ask("GET /api/v1/%74okens HTTP/1.1", bearer(viewer))).status).toBe(403);
    expect((await ask("GET /api/v1/devices/path%2D1 HTTP/1.1", bearer(viewer))).status).toBe(200);
    expect((await ask("GET /api/v1/devices/path%2D1 HTTP/1.1")).status).toBe(401);
  });
});

describe("A56 line ends in names", () => {
  const evil = "a\r\nset-cookie: owned=1\r\n\r\n<html>";

  it("A56 are refused where names are read, and make no header, no log line and no topic", async () => {
    const { call } = harness;
    const csr = "x".repeat(100);
    const token = await harness.createToken();
    const refused = [
      await call("POST", "/api/v1/enrol", {
        token: null,
        json: { token, device: evil, csr, profile: "generic-x86", labels: {} },
      }),
      await call("POST", "/api/v1/enrol", {
        token: null,
        json: { token, device: "a/#", csr, profile: "generic-x86", labels: {} },
      }),
      await call("PATCH", "/api/v1/devices/path-1", { json: { labels: { site: evil } } }),
      await call("PATCH", "/api/v1/devices/path-1", { json: { labels: { [evil]: "x" } } }),
      await call("POST", `/api/v1/models/${encodeURIComponent(evil)}/versions`, { json: {} }),
      await call("GET", `/api/v1/devices/${encodeURIComponent(evil)}`),
      await call("GET", `/api/v1/devices?cursor=${encodeURIComponent(evil)}`),
      await call("GET", `/api/v1/audit?subject=x&${encodeURIComponent(evil)}=1`),
      await call("POST", "/api/v1/webhooks", { json: { url: `https://example.com/${evil}` } }),
    ];
    for (const { status, headers } of refused) {
      expect([400, 422]).toContain(status);
      expect(headers["set-cookie"]).toBeUndefined();
    }
    const raw = await ask(`GET /api/v1/devices/a%0d%0aset-cookie:%20owned=1 HTTP/1.1`, bearer(viewer));
    expect(raw.status).toBe(400);
    expect(raw.text.split("\r\n\r\n")[0]).not.toMatch(/^set-cookie/imu);
    // Free text is kept as it is, and stays inside its JSON string in log and answer.
    await call("POST", "/api/v1/tokens", { json: { role: "viewer", description: evil } });
    const log = readFileSync(join(harness.dir, "plane.log"), "utf8");
    expect(log).not.toMatch(/^(?:set-cookie|<html>)/imu);
    for (const line of log.split("\n").filter((text) => text.startsWith("{")))
      expect(() => JSON.parse(line) as unknown).not.toThrow();
    expect(log).not.toContain("owned");
  });
});

describe("A57 addresses that a header claims", () => {
  it("A57 do not spread guesses of tokens over more than one bucket", async () => {
    await using other = await startPlane();
    let status = 0;
    // The bucket fills meanwhile, so a slow machine needs more guesses than it holds.
    for (let attempt = 0; attempt < 250 && status !== 429; attempt += 1) {
      const headers = {
        "x-forwarded-for": `1.2.3.${attempt}`,
        forwarded: `for=1.2.3.${attempt}`,
        "x-real-ip": `1.2.3.${attempt}`,
      };
      ({ status } = await other.call("GET", "/api/v1/devices", { token: "guess", headers }));
    }
    expect(status).toBe(429);
    await eventually("the bucket fills again", async () => (await other.call("GET", "/api/v1/devices")).status === 200);
    const { items } = (await other.call<{ items: AuditEntry[] }>("GET", "/api/v1/audit?limit=1000")).body;
    expect(JSON.stringify(items)).not.toContain("1.2.3.");
  });

  it("A57 count when a proxy that the operator named appended them, and only what it appended", async () => {
    await using other = await startPlane(["--trusted-proxies", "127.0.0.1"]);
    const guess = async (forwarded: string) =>
      (await other.call("GET", "/api/v1/devices", { token: "guess", headers: { "x-forwarded-for": forwarded } }))
        .status;
    let last = 0;
    for (let attempt = 0; attempt < 250 && last !== 429; attempt += 1) last = await guess(`9.9.9.${attempt}, 5.6.7.8`);
    expect(last).toBe(429);
    expect(await guess("5.6.7.9")).toBe(401);
    const { body } = await other.call<{ items: AuditEntry[] }>("GET", "/api/v1/audit?limit=1000", {
      headers: { "x-forwarded-for": "5.6.7.10" },
    });
    expect(body.items.some(({ details }) => details["from"] === "5.6.7.8")).toBe(true);
    expect(JSON.stringify(body)).not.toContain("9.9.9.");
  });
});

describe("A49 connections", () => {
  const open = (localAddress: string): Promise<Socket> =>
    new Promise((resolve, reject) => {
      const { port } = new URL(harness.plane.url);
      const socket = connectTcp({ port: Number(port), host: "127.0.0.1", localAddress });
      socket.once("connect", () => resolve(socket)).once("error", reject);
    });

  it("A49 of one address are bounded, and another address is still served", async () => {
    const sockets: Socket[] = [];
    let ended = 0;
    for (let count = 0; count < 600; count += 1) {
      const socket = await open("127.0.0.3");
      socket
        .on("error", () => undefined)
        .on("close", () => (ended += 1))
        .resume();
      sockets.push(socket);
    }
    await eventually("those beyond the limit are ended", () => ended >= 600 - 512);
    expect(ended).toBeLessThanOrEqual(600 - 512 + 8);
    expect((await harness.call("GET", "/healthz", { token: null })).status).toBe(200);
    for (const socket of sockets) socket.destroy();
    await eventually("the address is served again", async () => {
      const socket = await open("127.0.0.3");
      let isOver = false;
      socket
        .on("error", () => undefined)
        .on("close", () => (isOver = true))
        .resume();
      await new Promise((resolve) => setTimeout(resolve, 100));
      socket.destroy();
      return !isOver;
    });
  });

  it("A49 that say nothing, never end their header or drip their body are ended", async () => {
    const start = performance.now();
    const token = harness.plane.token;
    function* drip(first: string): Generator<string> {
      yield first;
    }
    const send = (first: string) =>
      sendRaw({ url: harness.plane.url, ca: harness.ca, parts: drip(first), timeoutMs: 50_000 });
    const answers = await Promise.all([
      send(""),
      send("GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-a: "),
      send(
        `POST /api/v1/enrolments/tokens HTTP/1.1\r\nhost: localhost\r\n${bearer(token)}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{`,
      ),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([408, 408, 504]);
    expect(performance.now() - start).toBeLessThan(45_000);
  });
});

describe("A64 secrets in addresses", () => {
  it("A64 are refused in every query, and stand in no answer, no audit entry and no log", async () => {
    const token = harness.plane.token;
    const secret = token.slice(4, 44);
    for (const name of ["token", "access_token", "authorization", "api_key"]) {
      for (const path of ["/api/v1/devices", "/api/v1/devices/path-1", "/healthz", "/", "/api/v1/ca"]) {
        const { status, body } = await harness.call<Problem | null>("GET", `${path}?${name}=${token}`, { token: null });
        expect([path, [400, 401].includes(status)]).toEqual([path, true]);
        expect(JSON.stringify(body)).not.toContain(secret);
        const known = await harness.call<Problem | null>("GET", `${path}?${name}=${token}`);
        expect([path, [400, 422].includes(known.status)]).toEqual([path, true]);
        expect(JSON.stringify(known.body)).not.toContain(secret);
      }
    }
    // As a part of the path it is a name that does not exist; what is written down of it says no more than that.
    await harness.call("GET", `/api/v1/devices/${token}`, { token: null });
    await harness.call("DELETE", `/api/v1/tokens/${token}`, { token: viewer });
    const audit = await harness.call<{ items: AuditEntry[] }>("GET", "/api/v1/audit?limit=1000");
    expect(audit.body.items.filter(({ action }) => action === "request.refuse").length).toBeGreaterThan(1);
    expect(JSON.stringify(audit.body)).not.toContain(secret);
    expect(
      readFileSync(join(harness.dir, "plane.log"), "utf8").replace(/Administrator token[^]*?fla_\S+/u, ""),
    ).not.toContain(secret);
  });
});
