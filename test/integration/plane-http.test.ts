import type { AuditEntry, Problem } from "@fairlead/protocol";
import { Agent, request } from "undici";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { toEntry } from "../support/entries.ts";
import { callPlane, readRoutes } from "../support/call-plane.ts";
import { eventually } from "../support/eventually.ts";
import { OwnedProcess } from "../support/process.ts";
import { enrol, startPlane, type Harness } from "./plane-harness.ts";

let harness: Harness;
beforeAll(async () => {
  harness = await startPlane();
});
afterAll(() => harness[Symbol.asyncDispose]());

/** What a browser is told with every answer, also one that refuses. */
const guarding = {
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "strict-transport-security": "max-age=31536000",
  "cross-origin-resource-policy": "same-origin",
};

describe("the HTTP API", () => {
  test("refuses every route that is not public without the right token, with every header that guards a browser", async () => {
    const closed = (await readRoutes(harness.plane)).filter(({ permission }) => permission !== "public");
    expect(closed.length).toBeGreaterThan(40);
    for (const [index, { name, method, path: template }] of closed.entries()) {
      const path = template.replaceAll(/\{\w+\}/gu, "x");
      const { status, headers } = await callPlane(harness.plane, { method, path, from: `127.0.3.${index + 1}` });
      expect([name, status]).toEqual([name, 401]);
      expect(headers, name).toMatchObject(guarding);
    }
    const wrong = `fla_${"x".repeat(43)}.${"0".repeat(64)}`;
    for (const token of [wrong, "", "x".repeat(400)]) {
      const { status } = await harness.call("GET", "/api/v1/devices", { token });
      expect(status).toBe(401);
    }
  });

  test("limits guessing of tokens per address", async () => {
    await using other = await startPlane();
    const statuses = [];
    for (let attempt = 0; attempt < 70; attempt += 1) {
      statuses.push((await other.call("GET", "/api/v1/devices", { token: "guess" })).status);
    }
    expect(statuses.slice(0, 50).every((status) => status === 401)).toBe(true);
    expect(statuses.at(-1)).toBe(429);
  });

  test("answers bad input with a problem document that names it", async () => {
    const unknown = await harness.call<Problem>("GET", "/api/v1/nothing");
    expect(unknown).toMatchObject({ status: 404, body: { code: "not_found" } });
    expect(unknown.headers["content-type"]).toBe("application/problem+json");
    expect(await harness.call("PUT", "/api/v1/devices")).toMatchObject({
      status: 405,
      body: { code: "method_not_allowed" },
    });
    const selector = await harness.call<Problem>("GET", "/api/v1/devices?selector=a%20b");
    expect(selector.body.fields?.[0]?.path).toBe("query.selector");
    const extra = await harness.call<Problem>("POST", "/api/v1/enrolments/tokens", { json: { admin: true } });
    expect(extra).toMatchObject({ status: 422, body: { code: "validation_failed" } });
    const big = await harness.call<Problem>("POST", "/api/v1/enrolments/tokens", {
      json: { description: "x".repeat(2_000_000) },
    });
    expect(big).toMatchObject({ status: 413, body: { code: "payload_too_large" } });
    const type = await harness.call<Problem>("POST", "/api/v1/enrolments/tokens", {
      json: {},
      headers: { "content-type": "text/plain" },
    });
    expect(type).toMatchObject({ status: 415 });
  });

  test("changes labels only on the state that was read", async () => {
    await enrol(harness, "labelled");
    const read = await harness.call("GET", "/api/v1/devices/labelled");
    const patch = async (match: string) =>
      await harness.call("PATCH", "/api/v1/devices/labelled", {
        json: { labels: { a: "b" } },
        headers: { "if-match": match },
      });
    expect(await patch(String(read.headers["etag"]))).toMatchObject({ status: 200, body: { labels: { a: "b" } } });
    expect(await patch(String(read.headers["etag"]))).toMatchObject({
      status: 412,
      body: { code: "precondition_failed" },
    });
    const found = await harness.call("GET", "/api/v1/devices?selector=a%3Db");
    expect(found.body).toMatchObject({ items: [{ device: "labelled" }], nextCursor: null });
    const refused = await harness.call("PATCH", "/api/v1/devices/labelled", {
      json: { labels: {}, lifecycle: "enrolled" },
    });
    expect(refused.status).toBe(422);
  });

  test("runs a write once for one idempotency key", async () => {
    await enrol(harness, "keyed");
    const patch = async (labels: object) =>
      await harness.call("PATCH", "/api/v1/devices/keyed", { json: { labels }, headers: { "idempotency-key": "k-1" } });
    const first = await patch({ a: "1" });
    const second = await patch({ a: "1" });
    expect(second.body).toEqual(first.body);
    expect(second.headers["idempotency-replayed"]).toBe("true");
    expect(await patch({ a: "2" })).toMatchObject({ status: 409 });
  });

  test("pages through devices and the audit log, whose chain holds", async () => {
    for (const name of ["page-1", "page-2", "page-3"]) await enrol(harness, name);
    const names: string[] = [];
    for (let cursor: string | null = ""; cursor !== null;) {
      const query: string = cursor === "" ? "" : `&cursor=${cursor}`;
      const page = await harness.call<{ items: { device: string }[]; nextCursor: string | null }>(
        "GET",
        `/api/v1/devices?limit=2${query}`,
      );
      names.push(...page.body.items.map((item) => item.device));
      cursor = page.body.nextCursor;
    }
    expect(names).toEqual([...new Set(names)].toSorted());
    expect(names).toContain("page-3");
    const audit = await harness.call<{ items: AuditEntry[] }>("GET", "/api/v1/audit?limit=3");
    expect(audit.body.items[0]).toMatchObject({ action: "device.enrol", subject: "page-3" });
    expect((await harness.call("GET", "/api/v1/audit/verification")).body).toMatchObject({ verified: true });
  });

  test("streams changes and resumes after the last one that was seen", async () => {
    const listen = async (lastEventId: string | null, until: string): Promise<string> => {
      const dispatcher = new Agent({ connect: { ca: harness.ca } });
      const headers = {
        authorization: `Bearer ${harness.plane.token}`,
        ...(lastEventId === null ? {} : { "last-event-id": lastEventId }),
      };
      const answer = await request(`${harness.plane.url}/api/v1/events`, { dispatcher, headers });
      let text = "";
      const ended = (async () => {
        for await (const chunk of answer.body) {
          text += String(chunk);
          if (text.includes(until)) break;
        }
      })();
      await eventually("the stream begins", () => text.includes("listening"));
      if (lastEventId === null) await enrol(harness, "streamed-1");
      await ended;
      await dispatcher.destroy();
      return text;
    };
    const first = await listen(null, '"streamed-1"');
    const position = /id: (\d+)\nevent: device/u.exec(first)?.[1] ?? "";
    await enrol(harness, "streamed-2");
    const second = await listen(position, '"streamed-2"');
    expect(second).not.toContain('"subject":"streamed-1"');
    expect(second).toContain('"kind":"device"');
  });

  test("keeps no listener's place for a HEAD, nor for a stream that it ended itself, and gives one caller not all of them", async () => {
    const dispatcher = new Agent({ connect: { ca: harness.ca }, connections: 64 });
    const url = `${harness.plane.url}/api/v1/events`;
    const listen = async (token: string) => {
      const answer = await request(url, { dispatcher, headers: { authorization: `Bearer ${token}` } });
      const ended = (async () => {
        for await (const _chunk of answer.body);
      })();
      return { status: answer.statusCode, ended };
    };
    const authorization = `Bearer ${harness.plane.token}`;
    for (let asked = 0; asked < 201; asked += 1) {
      const answer = await request(url, { method: "HEAD", dispatcher, headers: { authorization } });
      await answer.body.dump();
    }
    type Made = { token: string; tokenId: string };
    const make = async () =>
      (
        await harness.call<Made>("POST", "/api/v1/tokens", {
          json: { role: "viewer", description: "v", ttlMs: 3_600_000 },
        })
      ).body;
    for (let round = 0; round < 4; round += 1) {
      const { token, tokenId } = await make();
      const streams = await Promise.all(Array.from({ length: 50 }, () => listen(token)));
      expect(new Set(streams.map(({ status }) => status))).toEqual(new Set([200]));
      const beyond = await listen(token);
      expect(beyond.status).toBe(503);
      await beyond.ended;
      expect((await harness.call("DELETE", `/api/v1/tokens/${tokenId}`)).status).toBeLessThan(300);
      // The next change is what they would hear; they are ended instead.
      await enrol(harness, `heard-${round}`);
      await Promise.all(streams.map(({ ended }) => ended));
    }
    const { token } = await make();
    const last = await listen(token);
    expect(last.status).toBe(200);
    await dispatcher.destroy();
    await last.ended.catch(() => undefined);
  });

  test("shows the status page under a policy that admits only its own script", async () => {
    const dispatcher = new Agent({ connect: { ca: harness.ca } });
    const answer = await request(`${harness.plane.url}/`, { dispatcher });
    expect(answer.headers["content-security-policy"]).toMatch(/default-src 'none'; script-src 'sha256-/u);
    expect(await answer.body.text()).toContain("<title>Fairlead</title>");
    await dispatcher.close();
  });
});

describe("starting", () => {
  const run = (args: readonly string[]) =>
    new OwnedProcess({
      name: "second",
      entry: toEntry("plane"),
      args: ["--http-port", "0", "--mqtt-port", "0", ...args],
    });

  test("refuses a taken port, a data folder in use and bad options with a hint", async () => {
    const port = new URL(harness.plane.url).port;
    await using taken = run(["--data", `${harness.dir}/second`, "--http-port", port]);
    expect(await taken.exited()).toBe(1);
    expect(taken.output).toContain("port_taken");
    await using locked = run(["--data", `${harness.dir}/data`]);
    expect(await locked.exited()).toBe(1);
    expect(locked.output).toContain("store_locked");
    await using wrong = run(["--http-port", "http"]);
    expect(await wrong.exited()).toBe(1);
    expect(wrong.output).toContain("--http-port");
  });
});
