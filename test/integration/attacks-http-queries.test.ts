import type { AuditEntry, Problem } from "@fairlead/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { enrol, startPlane, type Harness } from "./plane-harness.ts";

let harness: Harness;
let lists: readonly { readonly path: string; readonly known: readonly string[] }[] = [];

beforeAll(async () => {
  harness = await startPlane();
  for (const name of ["query-1", "query-2"]) await enrol(harness, name);
  interface Described {
    readonly parameters: readonly { readonly name: string; readonly in: string }[];
  }
  const { body } = await harness.call<{ paths: Record<string, Record<string, Described>> }>(
    "GET",
    "/api/v1/openapi.json",
  );
  lists = Object.entries(body.paths).flatMap(([path, { get }]) => {
    const known = (get?.parameters ?? []).filter((parameter) => parameter.in === "query").map(({ name }) => name);
    return known.includes("limit") && !path.includes("{") ? [{ path, known }] : [];
  });
});
afterAll(() => harness[Symbol.asyncDispose]());

const get = (path: string, query: string) => harness.call<Problem>("GET", `${path}?${query}`);
const toCursor = (key: string) => Buffer.from(key, "utf8").toString("base64url");

describe("A51 queries", () => {
  it("A51 are refused where they name a column, an alias or anything that the list does not honour", async () => {
    expect(lists.length).toBeGreaterThan(6);
    for (const { path, known } of lists) {
      for (const name of ["sort", "order", "fields", "filter", "columns", "where", "selector", "cursor", "offset"]) {
        if (known.includes(name)) continue;
        const answer = await get(path, `${name}=device`);
        expect([path, name, answer.status]).toEqual([path, name, 422]);
      }
      for (const value of [
        `name";drop table devices--`,
        "device;--",
        "(select 1)",
        "device desc",
        "device%00",
        "1=1",
      ]) {
        const answer = await get(path, `sort=${encodeURIComponent(value)}`);
        expect([path, value, answer.status]).toEqual([path, value, 422]);
      }
    }
    expect((await harness.call<{ items: unknown[] }>("GET", "/api/v1/devices")).body.items).toHaveLength(2);
  });

  it("A51 are refused with NUL, with the same name twice, and with limits that are no numbers of the range", async () => {
    for (const { path } of lists) {
      for (const limit of ["0", "-1", "1001", "1e9", "NaN", "1%00", "%F0%9F%98%80", "1;2"])
        expect([path, limit, [400, 422].includes((await get(path, `limit=${limit}`)).status)]).toEqual([
          path,
          limit,
          true,
        ]);
      expect((await get(path, "limit=1&limit=2")).status).toBe(400);
    }
    expect((await get("/api/v1/devices", "selector=site%00%3Dtest")).status).toBe(422);
  });

  it("A51 take a percent sign as a percent sign: nothing is a pattern", async () => {
    const storm = "%".repeat(120);
    const { body } = await harness.call<{ items: unknown[] }>(
      "GET",
      `/api/v1/audit?subject=${encodeURIComponent(storm)}`,
    );
    expect(body.items).toEqual([]);
    expect((await harness.call<{ items: unknown[] }>("GET", "/api/v1/audit?subject=query-_")).body.items).toEqual([]);
    expect((await get("/api/v1/devices", `selector=${encodeURIComponent("site=%")}`)).status).toBe(422);
    expect((await get("/api/v1/audit", `subject=${"x".repeat(129)}`)).status).toBe(422);
  });

  it("A51 are refused with ten thousand ids, before anything looks at them", async () => {
    const start = performance.now();
    const ids = Array.from({ length: 10_000 }, (_, index) => `d${index}`).join(",");
    const answer = await get("/api/v1/devices", `selector=${encodeURIComponent(`id in (${ids})`)}`).catch(() => ({
      status: 431,
    }));
    expect([414, 431]).toContain(answer.status);
    const some = Array.from({ length: 100 }, (_, index) => `d${index}`).join(",");
    expect((await get("/api/v1/devices", `selector=${encodeURIComponent(`id in (${some},${some})`)}`)).status).toBe(
      422,
    );
    expect(performance.now() - start).toBeLessThan(2_000);
  });

  it("A51 are refused with cursors that the plane cannot have given", async () => {
    const forged = [
      "%00",
      "!!",
      "YWJj=",
      "..%2F",
      toCursor("a\0b"),
      toCursor(""),
      toCursor("x".repeat(190) + "é"),
      toCursor("' or 1=1 --\n"),
    ];
    for (const { path } of lists.filter(({ known }) => known.includes("cursor"))) {
      for (const cursor of forged.filter((text) => text !== ""))
        expect([path, cursor, (await get(path, `cursor=${cursor}`)).status]).toEqual([path, cursor, 400]);
    }
    for (const key of ["abc", "-1", "1e3", "NaN", "9".repeat(30), "1 or 1=1"])
      expect([key, (await get("/api/v1/audit", `cursor=${toCursor(key)}`)).status]).toEqual([key, 400]);
    // One that is well formed shows no more than its list does.
    const beyond = await harness.call<{ items: unknown[] }>("GET", `/api/v1/devices?cursor=${toCursor("zzzz")}`);
    expect(beyond).toMatchObject({ status: 200, body: { items: [], nextCursor: null } });
    const whole = await harness.call<{ items: AuditEntry[] }>(
      "GET",
      `/api/v1/audit?cursor=${toCursor("999999999")}&limit=1000`,
    );
    expect(whole.body.items.length).toBeGreaterThan(0);
  });
});

/** A rollout whose only fault is its selector, so that the selector is what is refused. */
const rollout = (selector: string) => ({
  ...{ model: "m", version: "1.0.0", slot: "s", selector },
  stages: [{ name: "all", target: { kind: "percent", percent: 100 } }],
});

describe("selectors", () => {
  const refusedIn = async (selector: string) => {
    const start = performance.now();
    const query = await get("/api/v1/devices", `selector=${encodeURIComponent(selector)}`).catch(() => ({
      status: 431,
    }));
    const body = await harness.call<Problem>("POST", "/api/v1/rollouts", { json: rollout(selector) });
    return { query: query.status, body: body.status, text: JSON.stringify(body.body), ms: performance.now() - start };
  };

  it.each([
    "^(a+)+$",
    "site=(.*a){25}",
    "site=~^(a+)+$",
    "site=/a/",
    "/a+/",
    "site=a|b",
    "site=a*",
    "site=[ab]",
    "site in (a.*,b+)",
  ])("A59 admit no regular expression: %s", async (selector) => {
    const { query, body, text } = await refusedIn(selector);
    expect([query, body]).toEqual([422, 422]);
    expect(text).toContain("body.selector");
  });

  it.each<[string, string]>([
    ["a megabyte", "a=b,".repeat(262_000)],
    ["half a megabyte of one term", `a=${"x".repeat(500_000)}`],
    ["thousands of terms", Array.from({ length: 5_000 }, (_, index) => `k${index}=v`).join(",")],
    ["deep nesting", `a in ${"(".repeat(200)}b${")".repeat(200)}`],
    ["nesting without an end", "(".repeat(500)],
    ["blanks without an end", `a${" ".repeat(500)}`],
    ["a set without an end", `a in (${"b,".repeat(240)}`],
    ["a reference to itself", "a=$(a),${a}"],
    ["commas", ",".repeat(510)],
  ])("A60 of %s are refused at once", async (_what, selector) => {
    const { query, body, text, ms } = await refusedIn(selector);
    expect([200, 414, 422, 431]).toContain(query);
    // Without its blanks it is a selector like any other.
    if (selector.trim() !== "a") {
      expect(query).not.toBe(200);
      expect([413, 422]).toContain(body);
      if (body === 422) expect(text).toContain("body.selector");
    }
    expect(ms).toBeLessThan(2_000);
  });

  it("A60 of the longest form that is admitted cost next to nothing", async () => {
    const start = performance.now();
    const selector = Array.from({ length: 100 }, (_, index) => `!k${index}`)
      .join(",")
      .slice(0, 512)
      .replace(/,[^,]*$/u, "");
    for (let count = 0; count < 20; count += 1)
      expect((await get("/api/v1/devices", `selector=${encodeURIComponent(selector)}`)).status).toBe(200);
    expect(performance.now() - start).toBeLessThan(5_000);
  });
});
