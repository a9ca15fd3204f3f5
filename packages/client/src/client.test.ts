import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createClient, type Client } from "./client.ts";
import type { ClientError } from "./errors.ts";
import type { HttpFetch } from "./fetch-port.ts";

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

let server: Server;
let origin = "";
let handle: Handler = () => undefined;
const viaFetch: HttpFetch = (url, init) => fetch(url, init as RequestInit);
const connect = (changes: { timeoutMs?: number; server?: string } = {}): Client =>
  createClient({ server: origin, token: "fla_secret", fetch: viaFetch, ...changes });

const sendJson = (response: ServerResponse, status: number, body: unknown): void => {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
};
const problem = { type: "about:blank", title: "No", status: 404, detail: "there is no device x", code: "not_found" };
const device = {
  ...{
    device: "lab-1",
    labels: {},
    profile: "generic-x86",
    lifecycle: "enrolled",
    online: true,
    assurance: "software",
  },
  ...{ lastSeenMs: null, integrity: "verified", slots: [] },
};

beforeEach(async () => {
  server = createServer((request, response) => handle(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const failure = (promise: Promise<unknown>): Promise<ClientError> =>
  promise.then(
    () => expect.unreachable("the call succeeded"),
    (error: ClientError) => error,
  );

it("turns a problem document into a code with status, hint and fields", async () => {
  const fields = [{ path: "stages.0", message: "no" }];
  handle = (_, response) =>
    sendJson(response, 422, { ...problem, status: 422, code: "stages_incomplete", hint: "end at 100 %", fields });
  const error = await failure(connect().devices.get("x"));
  expect(error).toMatchObject({
    code: "stages_incomplete",
    status: 422,
    hint: "end at 100 %",
    fields,
    message: problem.detail,
  });
});

it("keeps the kind of an error whose code it does not know", async () => {
  handle = (_, response) => sendJson(response, 409, { ...problem, status: 409, code: "invented_later" });
  expect(await failure(connect().devices.get("x"))).toMatchObject({
    code: "conflict",
    details: { serverCode: "invented_later" },
  });
});

it("names the status when something else than the plane answers", async () => {
  handle = (_, response) => void response.writeHead(503).end("<html>proxy</html>");
  expect(await failure(connect().devices.get("x"))).toMatchObject({ code: "unavailable", status: 503 });
});

it("refuses an answer that is not what the schema says", async () => {
  handle = (_, response) => sendJson(response, 200, { items: [{ device: 5 }], nextCursor: null });
  expect(await failure(connect().devices.list())).toMatchObject({
    code: "response_invalid",
    message: expect.stringContaining("items.0.device"),
  });
});

it("drops fields of a newer server, also where the shared schema is strict", async () => {
  handle = (_, response) =>
    sendJson(response, 200, { items: [{ ...device, inventedLater: { a: 1 } }], nextCursor: null, more: 1 });
  expect(await connect().devices.list()).toEqual([device]);
  const gate = { kind: "self-test", minPassedRatio: 1, inventedLater: true };
  const stage = { name: "all", target: { kind: "percent", percent: 100 }, gates: [gate], inventedLater: 1 };
  const spec = { slot: "s", model: "m", version: "1.0.0", selector: "", stages: [stage], inventedLater: {} };
  const rollout = {
    ...{
      rolloutId: `ro-${"0".repeat(26)}`,
      spec,
      state: "running",
      pauseReason: null,
      code: "x",
      reason: "",
      createdBy: "a",
    },
    ...{ createdAtMs: 1_700_000_000_000, updatedAtMs: 1_700_000_000_000, etag: "1", stages: [], devices: [] },
  };
  handle = (_, response) => sendJson(response, 200, rollout);
  const { spec: read } = await connect().rollouts.get(rollout.rolloutId);
  expect(read.stages[0]).not.toHaveProperty("inventedLater");
  expect(read.stages[0]?.gates).toEqual([{ kind: "self-test", minPassedRatio: 1 }]);
});

it("says that the server cannot be reached", async () => {
  expect(await failure(connect({ server: "http://127.0.0.1:9" }).devices.list())).toMatchObject({
    code: "server_unreachable",
    status: null,
  });
});

it("ends a request that takes too long", async () => {
  handle = () => undefined;
  expect(await failure(connect({ timeoutMs: 50 }).devices.list())).toMatchObject({ code: "request_timeout" });
});

it("ends an answer that stops in the middle", async () => {
  handle = (_, response) => void response.writeHead(200, { "content-length": "1000" }).write("{");
  expect(await failure(connect({ timeoutMs: 80 }).devices.list())).toMatchObject({ code: "request_timeout" });
});

it("follows pages, authenticates, and gives every write its own key", async () => {
  const seen: { url: string; key: unknown; authorization: unknown }[] = [];
  handle = (request, response) => {
    const { url = "", headers } = request;
    seen.push({ url, key: headers["idempotency-key"], authorization: headers.authorization });
    sendJson(response, 200, { items: [device], nextCursor: url.includes("cursor=") ? null : "next page" });
  };
  expect(await connect().devices.list({ selector: "site in (a,b)" })).toHaveLength(2);
  expect(seen[1]?.url).toBe("/api/v1/devices?selector=site%20in%20(a%2Cb)&limit=1000&cursor=next%20page");
  expect(seen[0]).toMatchObject({ key: undefined, authorization: "Bearer fla_secret" });
  for (const _ of [1, 2]) await failure(connect().trust.addOnlineKey());
  expect(seen[2]?.key).toMatch(/^[0-9a-f-]{36}$/u);
  expect(seen[3]?.key).not.toBe(seen[2]?.key);
});

it("encodes names, so that none reaches another path", async () => {
  const urls: string[] = [];
  handle = (request, response) => {
    urls.push(request.url ?? "");
    sendJson(response, 404, problem);
  };
  await failure(connect().devices.get("../models?x"));
  expect(urls).toEqual(["/api/v1/devices/..%2Fmodels%3Fx"]);
});

it("does not carry its token along a redirect", async () => {
  handle = (_, response) => void response.writeHead(302, { location: "http://example.invalid/" }).end();
  expect(await failure(connect().devices.list())).toMatchObject({ code: "server_unreachable" });
});

it("streams an upload with its length and kind", async () => {
  const digest = `sha256:${"a".repeat(64)}`;
  let received = 0;
  let url = "";
  handle = (request, response) => {
    url = request.url ?? "";
    request.on("data", (chunk: Buffer) => (received += chunk.length));
    request.on("end", () =>
      sendJson(response, 201, { digest, sizeBytes: received, kind: "onnx", created: true, inspection: null }),
    );
  };
  async function* body(): AsyncGenerator<Uint8Array> {
    for (let index = 0; index < 8; index += 1) yield new Uint8Array(65_536);
  }
  const artifact = await connect().models.uploadArtifact({ digest, kind: "onnx", sizeBytes: 524_288, body: body() });
  expect(artifact.sizeBytes).toBe(524_288);
  expect(url).toBe(`/api/v1/artifacts/sha256%3A${"a".repeat(64)}?kind=onnx`);
});

it("resumes events after a broken connection with the last position", async () => {
  const positions: (string | undefined)[] = [];
  handle = (request, response) => {
    positions.push(request.headers["last-event-id"] as string | undefined);
    const first = positions.length * 2 - 1;
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (const id of [first, first + 1])
      response.write(`id: ${id}\nevent: device\ndata: {"kind":"device","subject":"d${id}","tsMs":1700000000000}\n\n`);
    response.end();
  };
  const stop = new AbortController();
  const subjects: string[] = [];
  for await (const { event } of connect().events("0", stop.signal)) {
    subjects.push(event.subject);
    if (subjects.length === 5) stop.abort();
  }
  expect(subjects.slice(0, 5)).toEqual(["d1", "d2", "d3", "d4", "d5"]);
  expect(positions.slice(0, 3)).toEqual(["0", "2", "4"]);
});

it("ends the events when the server refuses", async () => {
  handle = (_, response) => sendJson(response, 401, { ...problem, status: 401, code: "token_invalid" });
  expect(await failure(connect().events(null, new AbortController().signal).next())).toMatchObject({
    code: "token_invalid",
  });
});
