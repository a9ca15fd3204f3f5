import { createHash } from "node:crypto";
import { linkSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildOnnxModel, externalDataModel, mlpModel } from "@fairlead/inference/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runCli } from "../support/cli.ts";
import { digitModelPath } from "../support/digits.ts";
import { eventually } from "../support/eventually.ts";
import { TestPlane } from "../support/plane.ts";

const dir = mkdtempSync(join(tmpdir(), "registry-"));
const plane = new TestPlane({ dir, args: ["--models-deny-operators", "Erf"] });
let ca = "";
beforeAll(async () => {
  await plane.start();
  ca = readFileSync(join(dir, "data", "ca.pem"), "utf8");
});
afterAll(async () => {
  await plane[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

interface Answer {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly body: Buffer;
  readonly json: Record<string, unknown>;
}
interface Call {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: Uint8Array;
  /** Closes the connection after the body although more was promised. */
  readonly cut?: boolean;
}

function call(path: string, { method = "GET", headers = {}, body, cut = false }: Call = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = httpsRequest(
      `${plane.url}/api/v1/${path}`,
      { method, ca, headers: { authorization: `Bearer ${plane.token}`, ...headers } },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on("data", (chunk: Buffer) => chunks.push(chunk));
        answer.on("error", reject);
        answer.on("end", () => {
          const bytes = Buffer.concat(chunks);
          const isJson = (answer.headers["content-type"] ?? "").includes("json");
          const json = isJson && bytes.length > 0 ? (JSON.parse(bytes.toString("utf8")) as Answer["json"]) : {};
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: bytes, json });
        });
      },
    );
    sent.on("error", reject);
    if (cut) sent.write(body, () => sent.destroy(new Error("cut on purpose")));
    else sent.end(body);
  });
}

const toDigest = (bytes: Uint8Array): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
const put = (bytes: Uint8Array, options: { readonly digest?: string; readonly kind?: string } = {}) =>
  call(`artifacts/${options.digest ?? toDigest(bytes)}?kind=${options.kind ?? "onnx"}`, {
    method: "PUT",
    headers: { "content-length": String(bytes.byteLength) },
    body: bytes,
  });
const post = (path: string, value: unknown) =>
  call(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: Buffer.from(JSON.stringify(value)),
  });

function listFiles(): string[] {
  return readdirSync(join(dir, "data", "artifacts"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name);
}

describe("an upload that is refused says why and leaves nothing", () => {
  const digits = readFileSync(digitModelPath("digit-reader-1.0.0-int8.onnx"));
  const unknownOperator = buildOnnxModel({
    graph: {
      nodes: [{ op: "Teleport", inputs: ["x"], outputs: ["y"] }],
      initializers: [],
      inputs: [{ name: "x", type: "float32", shape: [1] }],
      outputs: [{ name: "y", type: "float32", shape: [1] }],
    },
  });
  const malformed = buildOnnxModel({
    graph: {
      nodes: [{ op: "Relu", inputs: ["x"], outputs: ["y"] }],
      initializers: [{ name: "w", type: "float32", dims: [4], data: new Uint8Array(12) }],
      inputs: [{ name: "x", type: "float32", shape: [1] }],
      outputs: [{ name: "y", type: "float32", shape: [1] }],
    },
  });
  const denied = buildOnnxModel({
    graph: {
      nodes: [
        { op: "Relu", inputs: ["x"], outputs: ["h"] },
        { op: "Erf", inputs: ["h"], outputs: ["y"] },
      ],
      inputs: [{ name: "x", type: "float32", shape: [1] }],
      outputs: [{ name: "y", type: "float32", shape: [1] }],
    },
  });
  const futureOpset = buildOnnxModel({
    opsets: [{ domain: "", version: 999 }],
    graph: {
      nodes: [{ op: "Relu", inputs: ["x"], outputs: ["y"] }],
      initializers: [],
      inputs: [{ name: "x", type: "float32", shape: [1] }],
      outputs: [{ name: "y", type: "float32", shape: [1] }],
    },
  });
  test.each([
    ["text instead of a model", Buffer.from("%PDF-1.7 this is no model at all"), "not_onnx"],
    ["a model that was cut before the upload", digits.subarray(0, 2_000), "model_truncated"],
    ["an unknown operator", unknownOperator, "unknown_operator"],
    ["an operator set from the future", futureOpset, "unsupported_opset"],
    ["weights outside of the file", externalDataModel("../../etc/passwd"), "external_data_refused"],
    ["A17 a tensor that is shorter than its shape", malformed, "tensor_malformed"],
    ["an operator that this plane denies", denied, "unknown_operator"],
  ])("%s", async (_name, bytes, code) => {
    const answer = await put(bytes);
    expect(answer.json).toMatchObject({ status: 422, code });
    expect(answer.json["hint"]).toMatch(/\w{3}/u);
    expect(listFiles()).toEqual([]);
  });

  test.each([
    ["an operator that nobody knows", unknownOperator, "unknown_operator", "node 0 (Teleport)"],
    ["an operator that this plane denies", denied, "unknown_operator", "node 1 (Erf)"],
    ["A17 a tensor that is shorter than its shape", malformed, "tensor_malformed", "initializer 0"],
  ])("and says in the answer and in the audit log where in the file: %s", async (...row) => {
    const [, bytes, code, place] = row;
    const answer = await put(bytes);
    expect(answer.json["detail"]).toMatch(/; at byte \d+, /u);
    expect(answer.json["detail"]).toContain(place);
    const { json } = await call("audit?limit=200");
    const items = json["items"] as { action: string; subject: string; reason: string; details: object }[];
    const entry = items.find(({ action, subject }) => action === "request.refuse" && subject.includes(toDigest(bytes)));
    expect(entry).toMatchObject({ reason: code, details: { place, byte: expect.any(Number) } });
  });

  test("A14 a model whose weights lie behind a symbolic or a hard link, also when the command line is asked first", async () => {
    const folder = mkdtempSync(join(tmpdir(), "links-"));
    const secret = join(dir, "secret");
    writeFileSync(secret, Buffer.alloc(32, 0x3f));
    try {
      symlinkSync(secret, join(folder, "symbolic"));
      linkSync(secret, join(folder, "hard"));
      for (const location of ["symbolic", "hard"]) {
        const bytes = externalDataModel(location);
        expect((await put(bytes)).json).toMatchObject({ status: 422, code: "external_data_refused" });
        const file = join(folder, `${location}.onnx`);
        writeFileSync(file, bytes);
        for (const verb of [
          ["inspect", file],
          ["push", file, "--model", "linked", "--version", "1.0.0"],
        ])
          expect(await runCli(["models", ...verb], plane.cliEnv), `${location} ${verb[0]}`).toMatchObject({
            code: 1,
            stderr: expect.stringContaining("external_data_refused"),
          });
      }
      expect(listFiles()).toEqual([]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test("bytes that are not those of the digest", async () => {
    const answer = await put(digits, { digest: `sha256:${"0".repeat(64)}` });
    expect(answer.json).toMatchObject({ status: 422, code: "digest_mismatch" });
    expect(answer.json["detail"]).toContain(toDigest(digits));
    expect(listFiles()).toEqual([]);
  });

  test("a golden set beyond its limit, before its body is read", async () => {
    const headers = { "content-length": String(2 ** 25) };
    const path = `artifacts/${toDigest(digits)}?kind=golden`;
    const answer = await call(path, { method: "PUT", headers, body: Buffer.from("{") }).catch(() => undefined);
    expect(answer?.json).toMatchObject({ code: "payload_too_large" });
  });

  test("a connection that breaks in the middle", async () => {
    const headers = { "content-length": String(digits.byteLength) };
    const path = `artifacts/${toDigest(digits)}?kind=onnx`;
    await expect(call(path, { method: "PUT", headers, body: digits.subarray(0, 1_000), cut: true })).rejects.toThrow(
      "cut on purpose",
    );
    await eventually("the part is removed", () => listFiles().length === 0);
    expect((await call(`artifacts/${toDigest(digits)}`, { method: "HEAD" })).status).toBe(404);
  });
});

describe("a stored artifact", () => {
  const bytes = Buffer.from(mlpModel({ widths: [256, 512, 10] }));
  const digest = toDigest(bytes);
  beforeAll(async () => {
    expect((await put(bytes)).json).toMatchObject({ created: true });
  });

  test("is stored once", async () => {
    expect((await put(bytes)).json).toMatchObject({ created: false });
    expect(listFiles()).toEqual([digest.slice(7)]);
  });

  test("is put together again from ranges", async () => {
    const parts: Buffer[] = [];
    for (let first = 0; first < bytes.byteLength; first += 200_000) {
      const range = `bytes=${first}-${first + 199_999}`;
      const answer = await call(`artifacts/${digest}`, { headers: { range, "if-range": `"${digest}"` } });
      expect(answer.status).toBe(206);
      parts.push(answer.body);
    }
    expect(Buffer.concat(parts).equals(bytes)).toBe(true);
  });

  test("is sent whole when the holder of a part holds other bytes", async () => {
    const headers = { range: "bytes=5-", "if-range": '"sha256:other"' };
    const answer = await call(`artifacts/${digest}`, { headers });
    expect([answer.status, answer.body.length]).toEqual([200, bytes.byteLength]);
  });

  test("says its size and tag without its bytes", async () => {
    const answer = await call(`artifacts/${digest}`, { method: "HEAD" });
    expect(answer.headers).toMatchObject({ etag: `"${digest}"`, "content-length": String(bytes.byteLength) });
    const fresh = await call(`artifacts/${digest}`, { headers: { "if-none-match": `"${digest}"` } });
    expect([fresh.status, fresh.body.length]).toEqual([304, 0]);
    const beyond = await call(`artifacts/${digest}`, { headers: { range: `bytes=${bytes.byteLength}-` } });
    expect([beyond.status, beyond.headers["content-range"]]).toEqual([416, `bytes */${bytes.byteLength}`]);
  });

  test("is not shown to strangers", async () => {
    expect((await call(`artifacts/${digest}`, { headers: { authorization: "Bearer fla_x" } })).status).toBe(401);
  });

  test("becomes a signed release that a killed plane still has after its restart", async () => {
    const builds = [{ digest, target: { arch: ["x64"] } }];
    const version = { version: "1.0.0", builds, classification: { output: "y", labels: "0123456789".split("") } };
    expect((await post("models/wide-reader/versions", version)).status).toBe(201);
    expect((await post("models/wide-reader/versions", version)).status).toBe(200);
    const twice = { ...version, version: "1.0.1", builds: [...builds, { digest, target: {} }, ...builds] };
    const refused = (await post("models/wide-reader/versions", twice)).json;
    expect(refused).toMatchObject({ code: "duplicate_target", hint: "remove one of them" });
    const claim = `\\(${digest}, \\{.*"arch":\\["x64"\\].*\\}\\)`;
    expect((refused as { detail: string }).detail).toMatch(
      new RegExp(`^builds\\.0 ${claim} and builds\\.2 ${claim} are the same file for the same target$`, "u"),
    );
    const missing = { ...version, version: "1.0.2", builds: [{ digest: `sha256:${"1".repeat(64)}`, target: {} }] };
    expect((await post("models/wide-reader/versions", missing)).json).toMatchObject({ code: "artifact_unknown" });
    const wrong = { ...version, version: "1.0.3", classification: { output: "y", labels: ["a", "b"] } };
    expect((await post("models/wide-reader/versions", wrong)).json).toMatchObject({ code: "validation_failed" });
    const released = await runCli(["releases", "sign", "wide-reader", "1.0.0"], plane.cliEnv);
    expect(released).toMatchObject({ code: 0 });
    const before = (await call("releases")).json;
    expect(before).toMatchObject({ items: [{ signed: { type: "release", content: { model: "wide-reader" } } }] });
    await plane.process.kill();
    await plane.start();
    expect((await call("releases")).json).toEqual(before);
    expect((await call(`artifacts/${digest}`)).body.equals(bytes)).toBe(true);
  });
});
