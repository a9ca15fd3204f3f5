import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { Agent, createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { createTestAuthority } from "@fairlead/bus/testing";
import { silentLogger } from "@fairlead/kernel";
import type { EventData } from "@fairlead/protocol";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ArtifactKeeper } from "./artifact-keeper.ts";
import { openArtifactStore } from "./artifact-store.ts";
import { Mirrors } from "./mirrors.ts";

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

const bytes = randomBytes(60_000);
const artifact = { digest: `sha256:${createHash("sha256").update(bytes).digest("hex")}`, sizeBytes: bytes.length };
const good: Handler = (_request, response) =>
  void response.writeHead(200, { "content-length": bytes.length, etag: '"a"' }).end(bytes);

interface Asked {
  readonly showedCertificate: boolean;
  readonly authorization: string | undefined;
  readonly url: string | undefined;
}

/** One real server that asks for a client certificate, and notes who showed one. */
class Site {
  readonly server: Server;
  readonly asked: Asked[] = [];
  handler: Handler = good;

  constructor(tls: object) {
    this.server = createServer({ ...tls, requestCert: true, rejectUnauthorized: false }, (request, response) => {
      const { subject } = (request.socket as TLSSocket).getPeerCertificate();
      const { authorization } = request.headers;
      this.asked.push({ showedCertificate: subject !== undefined, authorization, url: request.url });
      this.handler(request, response);
    });
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => void this.server.listen(0, "127.0.0.1", resolve));
  }

  get origin(): string {
    return `https://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  get pattern(): string {
    return `${this.origin}/models/{digest}`;
  }

  reset(): void {
    this.asked.length = 0;
    this.handler = good;
  }
}

describe("artifacts from mirrors", () => {
  let ca = "";
  let agent: Agent;
  let folder = "";
  let plane: Site;
  let near: Site;
  let far: Site;
  const events: EventData[] = [];
  let nowMs = 0;
  const clock = { nowMs: () => Date.now(), monotonicMs: () => nowMs };

  beforeAll(async () => {
    const authority = await createTestAuthority();
    ca = authority.ca;
    [plane, near, far] = [0, 1, 2].map(() => new Site({})) as [Site, Site, Site];
    for (const site of [plane, near, far]) {
      site.server.setSecureContext({ ...(await authority.issueServer("127.0.0.1")), ca });
      await site.listen();
    }
    const identity = await authority.issueDevice("acme", "cam-1");
    agent = new Agent({ ca, ...identity });
  });
  afterAll(() => {
    agent.destroy();
    for (const { server } of [plane, near, far]) {
      server.closeAllConnections();
      server.close();
    }
  });
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "mirrors-"));
    for (const name of ["artifacts", "downloads"]) mkdirSync(join(folder, name));
    for (const site of [plane, near, far]) site.reset();
    events.length = 0;
    nowMs = 0;
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const open = (configured = [near.pattern, far.pattern], desired: readonly string[] = []) => {
    const store = openArtifactStore({ artifacts: join(folder, "artifacts"), downloads: join(folder, "downloads") });
    const mirrors = new Mirrors({
      ...{ configured: configured.map((url) => ({ url, metadataUrl: null, ca })), desired: () => desired },
      ...{ apiUrl: plane.origin, agent, emit: (event) => events.push(event), clock, random: () => 0.5 },
      logger: silentLogger,
    });
    const keeper = new ArtifactKeeper({ store, mirrors, emit: (event) => events.push(event), logger: silentLogger });
    const fetch = () => keeper.fetch(artifact, { signal: new AbortController().signal, onProgress: () => undefined });
    const again = async () => {
      rmSync(store.toPath(artifact.digest), { force: true });
      await fetch();
    };
    return { fetch, again, path: store.toPath(artifact.digest) };
  };
  const counts = () => [near, far, plane].map(({ asked }) => asked.length);

  it("come from the first mirror, which sees neither the device's certificate nor a token, and not from the plane", async () => {
    const { fetch, path } = open();
    await fetch();
    expect(readFileSync(path).equals(bytes)).toBe(true);
    expect(counts()).toEqual([1, 0, 0]);
    expect(near.asked[0]).toEqual({
      showedCertificate: false,
      authorization: undefined,
      url: `/models/${artifact.digest}`,
    });
  });

  it("come from the plane in the end, and there alone the certificate is shown", async () => {
    near.handler = (_request, response) => void response.writeHead(503).end();
    far.handler = (_request, response) => void response.socket?.destroy();
    const { fetch, path } = open();
    await fetch();
    expect(existsSync(path)).toBe(true);
    expect(counts()).toEqual([1, 1, 1]);
    expect([near, far, plane].map(({ asked }) => asked[0]?.showedCertificate)).toEqual([false, false, true]);
  });

  it("are asked of mirrors that the desired state names as of strangers: not of the device itself", async () => {
    const { fetch } = open([], [near.pattern, `${plane.origin}/api/v1/artifacts/{digest}`]);
    await fetch();
    expect(counts()).toEqual([0, 0, 1]);
    expect(events).toMatchObject([{ kind: "mirror-set-aside", mirror: near.origin, code: "download_refused" }]);
  });

  const lies: readonly (readonly [string, string, Handler])[] = [
    [
      "other bytes of the signed length",
      "digest_mismatch",
      (_request, response) =>
        void response.writeHead(200, { "content-length": bytes.length }).end(Buffer.alloc(bytes.length)),
    ],
    [
      "the page of a captive portal",
      "length_mismatch",
      (_request, response) =>
        void response.writeHead(200, { "content-type": "text/html" }).end("<html>Welcome</html>".repeat(4_000)),
    ],
    [
      "a shorter page that says its length",
      "length_mismatch",
      (_request, response) => void response.writeHead(200, { "content-length": 13 }).end("<html></html>"),
    ],
    [
      "A7 a body without an end",
      "length_mismatch",
      (_request, response) => {
        response.writeHead(200);
        const more = () => void (response.destroyed || response.write(Buffer.alloc(65_536), () => setImmediate(more)));
        more();
      },
    ],
    [
      "a redirect to the metadata of a cloud",
      "download_refused",
      (_request, response) =>
        void response.writeHead(302, { location: "http://169.254.169.254/latest/meta-data/" }).end(),
    ],
    [
      "bytes in an encoding that nobody asked for",
      "download_refused",
      (_request, response) => void response.writeHead(200, { "content-encoding": "gzip" }).end(bytes),
    ],
  ];
  it.each(lies)("put a mirror aside that sends %s, name it, and come whole from the next", async (_what, code, lie) => {
    near.handler = lie;
    const { fetch, again, path } = open();
    await fetch();
    expect(readFileSync(path).equals(bytes)).toBe(true);
    expect(events).toMatchObject([{ kind: "mirror-set-aside", mirror: near.origin, code }]);
    await again();
    expect(counts()).toEqual([1, 2, 0]);
    // Its time away is over: it is asked again, and serves.
    near.handler = good;
    nowMs = 4_000_000;
    await again();
    await again();
    expect(counts()).toEqual([3, 2, 0]);
  });

  it("A7 leave a mirror that drips, by its speed", async () => {
    near.handler = (_request, response) => {
      response.writeHead(200, { "content-length": bytes.length });
      const timer = setInterval(() => response.write("x"), 100);
      response.on("close", () => clearInterval(timer));
    };
    const { fetch } = open();
    // The speed is measured by the same clock.
    const ticking = setInterval(() => (nowMs += 100), 100);
    try {
      await fetch();
    } finally {
      clearInterval(ticking);
    }
    expect(events).toMatchObject([{ kind: "mirror-set-aside", mirror: near.origin, code: "download_stalled" }]);
    expect(counts()).toEqual([1, 1, 0]);
  }, 30_000);

  it("pass over a mirror that does not have the file, and blame it for nothing", async () => {
    near.handler = (_request, response) => void response.writeHead(404).end();
    const { fetch, again } = open();
    await fetch();
    await again();
    expect(events).toEqual([]);
    expect(counts()).toEqual([2, 2, 0]);
  });

  it("begin anew at the next source: what a liar sent is no beginning of the honest rest", async () => {
    near.handler = (_request, response) => {
      response.writeHead(200, { "content-length": bytes.length, etag: '"a"' });
      response.write(Buffer.alloc(30_000), () => response.destroy());
    };
    const { fetch, path } = open();
    await fetch();
    expect(readFileSync(path).equals(bytes)).toBe(true);
    expect(events.map((event) => event.kind)).toEqual(["mirror-set-aside"]);
  });

  it("fail with what the plane said, once it too sends something else", async () => {
    for (const site of [near, far, plane])
      site.handler = (_request, response) => void response.writeHead(200).end(Buffer.alloc(bytes.length));
    const { fetch, path } = open();
    await expect(fetch()).rejects.toMatchObject({ code: "digest_mismatch" });
    expect(existsSync(path)).toBe(false);
  });

  it("A52 are never asked of a mirror whose own address is a cloud's metadata service", async () => {
    const { fetch } = open(["https://169.254.169.254/{digest}", "https://[fd00:ec2::254]/{digest}"]);
    await fetch();
    expect(events.map((event) => event.kind === "mirror-set-aside" && event.code)).toEqual([
      "download_refused",
      "download_refused",
    ]);
    expect(counts()).toEqual([0, 0, 1]);
  });
});
