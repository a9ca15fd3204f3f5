import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync, existsSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { Agent, createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createTestAuthority } from "@fairlead/bus/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { openArtifactStore } from "./artifact-store.ts";
import { createPlaneSource } from "./artifact-source.ts";
import { download, type DownloadOptions } from "./download.ts";

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

const bytes = randomBytes(60_000);
const artifact = { digest: `sha256:${createHash("sha256").update(bytes).digest("hex")}`, sizeBytes: bytes.length };

/** A server that behaves: ranges, strong entity tag. */
const good: Handler = (request, response) => {
  const from = /^bytes=(\d+)-/u.exec(request.headers.range ?? "")?.[1];
  if (from === undefined)
    return void response.writeHead(200, { "content-length": bytes.length, etag: '"a"' }).end(bytes);
  const start = Number(from);
  const range = `bytes ${start}-${bytes.length - 1}/${bytes.length}`;
  response.writeHead(206, { "content-range": range, "content-length": bytes.length - start, etag: '"a"' });
  response.end(bytes.subarray(start));
};

describe("the downloader", () => {
  let server: Server;
  let agent: Agent;
  let folder: string;
  let handler: Handler = good;
  const ranges: (string | undefined)[] = [];
  beforeAll(async () => {
    const authority = await createTestAuthority();
    server = createServer(await authority.issueServer("127.0.0.1"), (request, response) => {
      ranges.push(request.headers.range);
      handler(request, response);
    });
    await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
    agent = new Agent({ ca: authority.ca });
  });
  afterAll(() => {
    agent.destroy();
    server.closeAllConnections();
    server.close();
  });
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "download-"));
    ranges.length = 0;
    handler = good;
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const toUrl = () => `https://127.0.0.1:${(server.address() as AddressInfo).port}/a`;
  const dead = () => createPlaneSource("https://127.0.0.1:1/a", { agent });
  const toOptions = (rest: Partial<DownloadOptions> = {}): DownloadOptions => ({
    sources: [createPlaneSource(toUrl(), { agent })],
    artifact,
    partPath: join(folder, "a.part"),
    signal: new AbortController().signal,
    reserveBytes: 0,
    ...rest,
  });
  const part = () => readFileSync(join(folder, "a.part"));
  const leave = (count: number, etag: string | null = '"a"') => {
    writeFileSync(join(folder, "a.part"), bytes.subarray(0, count));
    if (etag !== null) writeFileSync(join(folder, "a.part.etag"), `${new URL(toUrl()).origin}\n${etag}`);
  };

  it("resumes after cuts at any byte and ends with the very bytes", async () => {
    let cut = 0;
    handler = (request, response) => {
      const start = Number(/^bytes=(\d+)-/u.exec(request.headers.range ?? "")?.[1] ?? 0);
      const end = Math.min(bytes.length, start + 1 + ((cut * 7_919) % 9_000));
      cut += 1;
      const head = { "content-length": bytes.length - start, etag: '"a"' };
      if (start === 0) response.writeHead(200, head);
      else response.writeHead(206, { ...head, "content-range": `bytes ${start}-${bytes.length - 1}/${bytes.length}` });
      if (end === bytes.length) response.end(bytes.subarray(start));
      else response.write(bytes.subarray(start, end), () => setTimeout(() => response.destroy(), 15));
    };
    let tries = 0;
    for (; tries < 60; tries += 1) {
      const ended = await download(toOptions()).then(
        () => true,
        () => false,
      );
      if (ended) break;
    }
    expect(tries).toBeGreaterThan(5);
    expect(ranges.filter((range) => range !== undefined).length).toBeGreaterThan(5);
    expect(part().equals(bytes)).toBe(true);
  });

  it("starts over when the server ignores the range, and never appends", async () => {
    leave(10_000);
    handler = (_request, response) =>
      void response.writeHead(200, { "content-length": bytes.length, etag: '"a"' }).end(bytes);
    await download(toOptions());
    expect(ranges).toEqual([`bytes=10000-${bytes.length - 1}`]);
    expect(part().equals(bytes)).toBe(true);
  });

  it.each<[string, string, string, string]>([
    ["drips its header", "download_stalled", "HTTP/1.1 200 OK\r\nx: ", "y"],
    ["sends one provisional answer after the other", "download_stalled", "", "HTTP/1.1 102 Processing\r\n\r\n"],
    [
      "changes to another protocol",
      "download_refused",
      "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
      "y",
    ],
  ])("A7 leaves a plane that %s, and keeps what it had", async (...row) => {
    const [, code, begin, more] = row;
    leave(10_000);
    handler = (_request, { socket }) => {
      socket?.write(begin);
      const timer = setInterval(() => socket?.write(more), 20);
      socket?.on("close", () => clearInterval(timer));
    };
    const sources = [createPlaneSource(toUrl(), { agent, answerTimeoutMs: 400 })];
    const begunMs = performance.now();
    await expect(download(toOptions({ sources }))).rejects.toMatchObject({ code });
    expect(performance.now() - begunMs).toBeLessThan(3_000);
    handler = good;
    await download(toOptions());
    expect(ranges.at(-1)).toBe(`bytes=10000-${bytes.length - 1}`);
    expect(part().equals(bytes)).toBe(true);
  });

  it("asks for the whole when the leftover has no entity tag", async () => {
    leave(10_000, null);
    await download(toOptions());
    expect(ranges).toEqual([undefined]);
    expect(part().equals(bytes)).toBe(true);
  });

  const total = bytes.length;
  it.each([
    ["early", `bytes 9999-${total - 1}/${total}`],
    ["late", `bytes 10001-${total - 1}/${total}`],
    ["negative", `bytes -1-${total - 1}/${total}`],
    ["garbled", "bytes banana"],
    ["several", `bytes 10000-${total - 1}/${total}, 0-1/${total}`],
    ["of another total", `bytes 10000-${total - 1}/${total + 1}`],
    ["of an unknown total", `bytes 10000-${total - 1}/*`],
    ["missing", undefined],
    ["of another unit", `items 10000-${total - 1}/${total}`],
    ["of a wrong end", `bytes 10000-${total - 2}/${total}`],
  ])("refuses a Content-Range that is %s and gets the whole next time", async (_what, range) => {
    leave(10_000);
    handler = (_request, response) =>
      void response
        .writeHead(206, { etag: '"a"', ...(range === undefined ? {} : { "content-range": range }) })
        .end(bytes.subarray(10_000));
    await expect(download(toOptions())).rejects.toMatchObject({ code: "download_refused" });
    handler = good;
    await download(toOptions());
    expect(part().equals(bytes)).toBe(true);
  });

  it.each([-1, 1])("refuses a Content-Length that is off by %i", async (off) => {
    handler = (_request, response) => {
      response.writeHead(200, { "content-length": bytes.length + off });
      response.write(bytes.subarray(0, 1_000));
    };
    await expect(download(toOptions())).rejects.toMatchObject({ code: "length_mismatch" });
    expect(existsSync(join(folder, "a.part"))).toBe(false);
  });

  it("takes a chunked answer of the signed length and refuses a longer one at the first byte too many", async () => {
    handler = (_request, response) => void response.writeHead(200).end(bytes);
    await download(toOptions());
    expect(part().equals(bytes)).toBe(true);
    rmSync(join(folder, "a.part"));
    handler = (_request, response) => {
      response.writeHead(200);
      response.write(bytes);
      const more = setInterval(() => response.write("more"), 5);
      response.on("close", () => clearInterval(more));
    };
    await expect(download(toOptions())).rejects.toMatchObject({ code: "length_mismatch" });
  });

  it("starts over when the content changed between two parts", async () => {
    leave(10_000, '"old"');
    handler = (request, response) => {
      expect(request.headers["if-range"]).toBe('"old"');
      // A server that disregards If-Range and sends the rest of the new content.
      const range = `bytes 10000-${total - 1}/${total}`;
      response.writeHead(206, { "content-range": range, etag: '"new"' }).end(bytes.subarray(10_000));
    };
    await expect(download(toOptions())).rejects.toMatchObject({ code: "download_refused" });
    handler = good;
    await download(toOptions());
    expect(ranges.at(-1)).toBeUndefined();
    expect(part().equals(bytes)).toBe(true);
  });

  it("keeps no tail of a leftover that is longer than the artifact", async () => {
    writeFileSync(join(folder, "a.part"), Buffer.concat([bytes, randomBytes(5_000)]));
    await download(toOptions());
    expect(part().equals(bytes)).toBe(true);
  });

  it("refuses compression, redirects and errors, whatever their bodies are", async () => {
    for (const [status, headers] of [
      [200, { "content-encoding": "gzip" }],
      [302, { location: "https://127.0.0.1:1/" }],
      [404, {}],
      [500, {}],
      [416, { "content-range": `bytes */${total}` }],
    ] as const) {
      handler = (_request, response) => void response.writeHead(status, headers).end(bytes);
      const code = status === 404 ? "download_absent" : "download_refused";
      await expect(download(toOptions()), String(status)).rejects.toMatchObject({ code });
    }
  });

  it("leaves a server that drips", async () => {
    handler = (_request, response) => {
      response.writeHead(200, { "content-length": bytes.length, etag: '"a"' });
      const drip = setInterval(() => response.write("x"), 10);
      response.on("close", () => clearInterval(drip));
    };
    await expect(download(toOptions({ stallMs: 100 }))).rejects.toMatchObject({ code: "download_stalled" });
  });

  it("goes to the next mirror, and says what the last one did", async () => {
    const { sources } = toOptions();
    await download(toOptions({ sources: [dead(), ...sources] }));
    expect(part().equals(bytes)).toBe(true);
    rmSync(join(folder, "a.part"));
    await expect(download(toOptions({ sources: [dead()] }))).rejects.toMatchObject({
      code: "download_unreachable",
    });
  });

  it("does not begin what the disk cannot hold, and stops when it is called off", async () => {
    await expect(download(toOptions({ reserveBytes: 2 ** 60 }))).rejects.toMatchObject({ code: "disk_full" });
    const abort = new AbortController();
    handler = (_request, response) => {
      response.writeHead(200, { "content-length": bytes.length });
      response.write(bytes.subarray(0, 10), () => abort.abort());
    };
    await expect(download(toOptions({ signal: abort.signal }))).rejects.toMatchObject({ code: "download_canceled" });
  });

  it("installs only what has the digest", async () => {
    const store = openArtifactStore({ artifacts: folder, downloads: folder });
    writeFileSync(store.toPartPath(artifact.digest), Buffer.concat([bytes.subarray(1), Buffer.from("x")]));
    await expect(store.install(artifact)).rejects.toMatchObject({ code: "digest_mismatch" });
    expect(await store.isIntact(artifact)).toBe(false);
    writeFileSync(store.toPartPath(artifact.digest), bytes);
    await store.install(artifact);
    expect(await store.isIntact(artifact)).toBe(true);
    expect(await store.keepOnly(new Set())).toHaveLength(1);
    expect(await store.isIntact(artifact)).toBe(false);
  });
});
