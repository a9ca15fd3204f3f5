import { brotliCompressSync, gzipSync } from "node:zlib";
import type { AuditEntry, Problem } from "@fairlead/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readRssBytes } from "../support/rss.ts";
import { sendRaw } from "../support/raw-http.ts";
import { enrol, startPlane, type Harness, type Identity } from "./plane-harness.ts";

interface Schema {
  readonly type?: string;
  readonly properties?: Record<string, Schema>;
  readonly additionalProperties?: unknown;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
}
interface Operation {
  readonly method: "POST" | "PATCH" | "PUT" | "DELETE";
  readonly path: string;
  readonly permission: string;
  readonly schema: Schema;
}
interface Described {
  readonly "x-permission": string;
  readonly requestBody?: { readonly content: Record<string, { readonly schema: Schema }> };
}

let harness: Harness;
let device: Identity;
let operations: readonly Operation[] = [];

beforeAll(async () => {
  harness = await startPlane();
  device = await enrol(harness, "attacker-1");
  const { body } = await harness.call<{ paths: Record<string, Record<string, Described>> }>(
    "GET",
    "/api/v1/openapi.json",
  );
  operations = Object.entries(body.paths).flatMap(([path, methods]) =>
    Object.entries(methods).flatMap(([method, { requestBody, "x-permission": permission }]) => {
      const schema = requestBody?.content["application/json"]?.schema;
      return schema === undefined
        ? []
        : [{ method: method.toUpperCase() as Operation["method"], path: toRealPath(path), permission, schema }];
    }),
  );
});
afterAll(() => harness[Symbol.asyncDispose]());

/** Names of the right form, of things that do not exist. */
function toRealPath(path: string): string {
  const id = "01m8btfmn6a3mda5npkhfgr8mg";
  const names: Record<string, string> = {
    version: "1.0.0",
    device: "attacker-1",
    model: "m",
    enrolment: `enr-${id}`,
    rollout: `rol-${id}`,
  };
  return path.replaceAll(/\{(\w+)\}/gu, (_all, name: string) => names[name] ?? `xxx-${id}`);
}

/** Calls as whoever may call it, so that nothing but the body is refused. */
const call = (operation: Operation, json: unknown) =>
  harness.call<Problem>(operation.method, operation.path, {
    json,
    ...(operation.permission === "device" ? { token: null, identity: device } : {}),
  });

/** Sends JSON text that no serialiser makes, as whoever may call. */
const sendText = ({ method, path, permission }: Operation, text: string) => {
  const isForDevices = permission === "device";
  const rights = isForDevices ? "" : `authorization: Bearer ${harness.plane.token}\r\n`;
  return sendRaw({
    url: harness.plane.url,
    ca: harness.ca,
    identity: isForDevices ? device : undefined,
    parts: [
      `${method} ${path} HTTP/1.1\r\nhost: localhost\r\n${rights}`,
      `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
    ],
  });
};

/** Where an object admits names that nobody wrote down; records with a schema for their values are meant. */
function findOpenObjects(schema: Schema, at: string): string[] {
  const own = schema.properties !== undefined && schema.additionalProperties !== false ? [at] : [];
  const inside = [
    ...Object.entries(schema.properties ?? {}).map(([name, value]) => [value, `${at}.${name}`] as const),
    ...[...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])].map((value) => [value, at] as const),
    ...(schema.items === undefined ? [] : [[schema.items, `${at}[]`] as const]),
  ];
  return [...own, ...inside.flatMap(([value, place]) => findOpenObjects(value, place))];
}

const forged: readonly (readonly [string, unknown])[] = [
  ["role", "admin"],
  ["tenantId", "other"],
  ["tenant", "other"],
  ["status", "succeeded"],
  ["state", "succeeded"],
  ["isAdmin", true],
  ["createdBy", "admin"],
];

describe("bodies", () => {
  it("A46 admits no name in any body, at any depth, that its schema does not know", () => {
    expect(operations.length).toBeGreaterThan(10);
    for (const { method, path, schema } of operations) expect(findOpenObjects(schema, `${method} ${path}`)).toEqual([]);
  });

  /** Entries that tell of more than a refusal. */
  const countChanges = async (): Promise<number> => {
    const { body } = await harness.call<{ items: AuditEntry[] }>("GET", "/api/v1/audit?limit=1000");
    return body.items.filter(({ action }) => action !== "request.refuse" && action !== "refusals.condense").length;
  };

  it("A46 refuses role, tenant, state and the like in every body that does not ask for them, by name", async () => {
    const before = await countChanges();
    for (const operation of operations) {
      const known = new Set(Object.keys(operation.schema.properties ?? {}));
      for (const [name, value] of forged.filter(([field]) => !known.has(field))) {
        const { status, body } = await call(operation, { [name]: value });
        const what = `${operation.method} ${operation.path} ${name}`;
        expect([what, status], JSON.stringify(body)).toEqual([what, 422]);
        // A union names no field: it says that no member fits.
        if (operation.schema.anyOf === undefined)
          expect(body.fields?.map(({ message }) => message).join(), what).toContain(`"${name}"`);
      }
    }
    expect(await countChanges()).toBe(before);
  });

  it("A50 refuses __proto__ and constructor in every body, and no object changes its kind", async () => {
    const texts = [
      '{"__proto__":{"isAdmin":true,"role":"admin"}}',
      '{"constructor":{"prototype":{"isAdmin":true}}}',
      '{"labels":{"__proto__":"x","constructor":"y"}}',
      '{"labels":{"__proto__":{"a":"b"}}}',
      '{"\\u005f\\u005Fproto__":{"isAdmin":true}}',
      '{"__pr\\u006fto__":{"isAdmin":true}}',
      '{"_\\u005fp\\u0072oto_\\u005f":{"isAdmin":true}}',
    ];
    for (const operation of operations) {
      for (const text of texts) {
        const { status, text: answer } = await sendText(operation, text);
        const refused = text.includes('constructor":{') ? 422 : 400;
        expect([operation.path, text, status], answer).toEqual([operation.path, text, refused]);
      }
    }
    const { body } = await harness.call<Record<string, unknown>>("GET", "/api/v1/devices/attacker-1");
    expect(body["labels"]).toEqual({ site: "test" });
    expect(JSON.stringify(body)).not.toContain("isAdmin");
    const viewer = await harness.call<{ token: string }>("POST", "/api/v1/tokens", { json: { role: "viewer" } });
    const refused = await harness.call("POST", "/api/v1/tokens", { token: viewer.body.token, json: { role: "admin" } });
    expect(refused.status).toBe(403);
  });
});

const head = (path: string, ...lines: string[]) =>
  [`POST ${path} HTTP/1.1`, "host: localhost", `authorization: Bearer ${harness.plane.token}`, ...lines, "", ""].join(
    "\r\n",
  );
const json = "content-type: application/json";
const tokens = "/api/v1/enrolments/tokens";
const raw = (parts: Iterable<string | Uint8Array>) => sendRaw({ url: harness.plane.url, ca: harness.ca, parts });

function* chunked(path: string, megabytes: number, first = ""): Generator<string> {
  yield head(path, json, "transfer-encoding: chunked");
  if (first !== "") yield `${first.length.toString(16)}\r\n${first}\r\n`;
  const chunk = `10000\r\n${"x".repeat(65_536)}\r\n`;
  for (let sent = 0; sent < megabytes * 16; sent += 1) yield chunk;
}

describe("A49 large and malformed bodies", () => {
  it.each<[string, number[], () => Iterable<string | Uint8Array>]>([
    ["a declared gigabyte", [413], () => [head(tokens, json, "content-length: 1073741824"), "{"]],
    ["chunks without end", [413], () => chunked(tokens, 512)],
    ["a string of a gigabyte", [413], () => chunked(tokens, 512, '{"description":"')],
    ["chunks without end at a public route", [413], () => chunked("/api/v1/enrol", 512)],
    ["arrays 100,000 deep", [400, 422], () => deep("[", "]")],
    ["objects 100,000 deep", [400, 422], () => deep('{"a":', "}", "1")],
    ["a gzip bomb", [415], () => encoded("gzip", gzipSync(Buffer.alloc(64 * 1_048_576, " ")))],
    ["a brotli bomb", [415], () => encoded("br", brotliCompressSync(Buffer.alloc(64 * 1_048_576, " ")))],
    [
      "both length and chunks",
      [400],
      () => [head(tokens, json, "content-length: 2", "transfer-encoding: chunked"), "2\r\n{}\r\n0\r\n\r\n"],
    ],
    ["two lengths", [400], () => [head(tokens, json, "content-length: 2", "content-length: 3"), "{}"]],
    ["a negative length", [400], () => [head(tokens, json, "content-length: -1"), "{}"]],
    ["an unknown transfer encoding", [400, 501], () => [head(tokens, json, "transfer-encoding: gzip"), "{}"]],
    [
      "a chunk size that lies",
      [400],
      () => [head(tokens, json, "transfer-encoding: chunked"), "zz\r\n{}\r\n0\r\n\r\n"],
    ],
    ["a header of 64 kB", [431], () => [head(tokens, json, `x-large: ${"x".repeat(65_536)}`)]],
    [
      "ten thousand headers",
      [431],
      () => [head(tokens, json, ...Array.from({ length: 10_000 }, (_, n) => `x-${n}: 1`))],
    ],
    ["a target of 64 kB", [414, 431], () => [head(`/api/v1/devices?selector=${"x".repeat(65_536)}`)]],
    ["bytes that are no UTF-8", [400], () => encoded("identity", Buffer.from([0x22, 0xff, 0xfe, 0x22]))],
    ["a method of its own", [400], () => [`BREW ${tokens} HTTP/1.1\r\nhost: localhost\r\n\r\n`]],
    ["no host", [400], () => [`GET /healthz HTTP/1.1\r\n\r\n`]],
  ])("answers %s with %j, early, and keeps its memory", async (_what, statuses, make) => {
    const beforeBytes = readRssBytes(harness.plane.process.pid);
    const { status, text, sentBytes } = await raw(make());
    expect(statuses, text.slice(0, 500)).toContain(status);
    // The kernel's buffers on both sides hold some of what nobody read.
    expect(sentBytes).toBeLessThan(24 * 1_048_576);
    expect(readRssBytes(harness.plane.process.pid) - beforeBytes).toBeLessThan(48 * 1_048_576);
    expect((await harness.call("GET", "/healthz", { token: null })).status).toBe(200);
  });

  it("A49 reads what was sent after a refused body as no second request", async () => {
    const inner = `GET /api/v1/tokens HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${harness.plane.token}\r\n\r\n`;
    const { text } = await raw([head(tokens, json, `content-length: ${2_000_000}`), inner, "x".repeat(65_536)]);
    expect(text.match(/HTTP\/1\.1 \d{3}/gu)).toEqual(["HTTP/1.1 413"]);
  });
});

function* deep(open: string, close: string, middle = ""): Generator<string> {
  const text = `${open.repeat(100_000)}${middle}${close.repeat(100_000)}`;
  yield head(tokens, json, `content-length: ${text.length}`);
  yield text;
}
function* encoded(encoding: string, bytes: Uint8Array): Generator<string | Uint8Array> {
  yield head(tokens, json, `content-encoding: ${encoding}`, `content-length: ${bytes.length}`);
  yield bytes;
}

describe("A54 archives", () => {
  it("A54 are not accepted anywhere: what is uploaded is one model file or one golden set, and nothing unpacks", async () => {
    const { body } = await harness.call<{
      paths: Record<string, Record<string, { parameters: { name: string; schema: { enum?: string[] } }[] }>>;
    }>("GET", "/api/v1/openapi.json");
    const uploads = Object.entries(body.paths).filter(([, methods]) => methods["put"] !== undefined);
    expect(uploads.map(([path]) => path)).toEqual(["/api/v1/artifacts/{digest}"]);
    const kind = uploads[0]?.[1]["put"]?.parameters.find(({ name }) => name === "kind");
    expect(kind?.schema.enum).toEqual(["onnx", "golden"]);
    // The first bytes of tar, zip, gzip, xz, zstd, 7z, bzip2 and rpm files.
    const archives = [
      Buffer.concat([Buffer.from("../../etc/passwd".padEnd(257, "\0")), Buffer.from("ustar\x0000")]),
      Buffer.from("504b0304140000000000", "hex"),
      gzipSync("x"),
      Buffer.from("fd377a585a000004", "hex"),
      Buffer.from("28b52ffd24000100", "hex"),
      Buffer.from("377abcaf271c0004", "hex"),
      Buffer.from("425a6839314159265359", "hex"),
      Buffer.from("edabeedb03000000", "hex"),
    ];
    for (const bytes of archives) {
      for (const [name, statuses] of [
        ["onnx", [422]],
        ["golden", [400, 422]],
        ["tar", [422]],
      ] as const) {
        const digest = Buffer.from(await crypto.subtle.digest("SHA-256", new Uint8Array(bytes))).toString("hex");
        const { status, text } = await raw([
          `PUT /api/v1/artifacts/sha256:${digest}?kind=${name} HTTP/1.1\r\nhost: localhost\r\n`,
          `authorization: Bearer ${harness.plane.token}\r\ncontent-length: ${bytes.length}\r\n\r\n`,
          bytes,
        ]);
        expect(statuses, text).toContain(status);
      }
    }
  });
});
