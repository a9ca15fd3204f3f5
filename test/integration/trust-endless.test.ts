import { createTargets } from "@fairlead/artifacts/tuf";
import { Targets } from "@tufjs/models";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { farMs, toCode, toFile, TrustSite, type Ask } from "../support/trust-site.ts";

let site: TrustSite;
beforeEach(async () => void (site = await TrustSite.start()));
afterEach(() => site[Symbol.asyncDispose]());

const sha256Of = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** Far more than any cap, and still not all of this machine's memory when a cap is missing. */
const enoughBytes = 128 * 1_048_576;

/** Sends for as long as the other side takes; counts what it took. */
function pour(response: ServerResponse): { readonly sentBytes: () => number } {
  let sent = 0;
  const block = Buffer.alloc(65_536, " ");
  const push = (): void => {
    let isFull = false;
    while (!response.destroyed && !isFull && sent < enoughBytes) {
      isFull = !response.write(block);
      sent += block.length;
    }
    if (sent >= enoughBytes) response.end();
  };
  response.on("drain", push);
  push();
  return { sentBytes: () => sent };
}

function drip(response: ServerResponse, text: string): void {
  const timer = setInterval(() => response.socket?.write(text), 20);
  response.on("close", () => clearInterval(timer));
}

/** The targets that the root key signed, with these paths, each of these bytes. */
async function offerTargets(paths: readonly string[], bytes: Uint8Array, lengthBytes = bytes.length): Promise<void> {
  const json = createTargets({ version: 9, expiresAtMs: farMs }).toJSON() as { targets: Record<string, unknown> };
  for (const path of paths) json.targets[path] = { length: lengthBytes, hashes: { sha256: sha256Of(bytes) } };
  await site.trust.replaceTargets(Targets.fromJSON(json as never));
}

describe("a target's name", () => {
  const bytes = Buffer.from("{}");
  const paths = [
    ...["../../etc/cron.d/x", "/etc/passwd", "a%2e%2e%2fb", "%2e%2e%2f", "..\\x", "CON", "dot.", "page", "pаge"],
    ...[".", "..", "...", "nul\u0000.json", "x".repeat(4_096), "é".repeat(200), "\ud800", "\ud801", "a/../../b"],
  ];

  it("A6 is never a path: every file lies in its folder, none under another's name", async () => {
    await offerTargets(paths, bytes);
    site.answer = (name, response) => !name.endsWith(".json") && (response.end(bytes), true);
    // Deep enough to see what climbs.
    const above = mkdtempSync(join(site.folder, "place-"));
    const place = mkdtempSync(join(above, "own-"));
    const files = new Set<string>();
    await site.withUpdater(async (updater) => {
      for (const path of paths) {
        const code = await toCode(
          updater.download(path, { baseUrl: `${site.url}files/`, folder: place }).then((file) => files.add(file)),
        );
        // What no URL can name is not fetched, and leaves nothing.
        expect(code, path).toMatch(/^(?:taken|target_refused)$/u);
      }
    });
    expect([...files].every((file) => file.startsWith(`${place}/`))).toBe(true);
    expect(files.size).toBeGreaterThanOrEqual(paths.length - 2);
    expect(readdirSync(place)).toHaveLength(files.size);
    expect(readdirSync(above)).toHaveLength(1);
    expect(readdirSync(site.folder).filter((name) => !/^(?:trust|place-)/u.test(name))).toEqual([]);
  });
});

describe("a server without an end", () => {
  it.each<[string, string, number]>([
    ["timestamp", "timestamp.json", 16_384],
    ["root", "2.root.json", 512_000],
    ["snapshot", "1.snapshot.json", 2_000_000],
    ["targets", "1.targets.json", 5_000_000],
  ])("A7 is left in the middle of %s, after no more than the cap", async (_, document, capBytes) => {
    let poured: ReturnType<typeof pour> | undefined;
    site.answer = (name, response) => name === document && ((poured = pour(response)), true);
    expect(await site.refresh()).toBe("metadata_refused");
    // Beside the cap there is what the kernel holds for both ends.
    expect(poured?.sentBytes()).toBeLessThan(capBytes + 24 * 1_048_576);
    site.answer = undefined;
    expect(await site.refresh()).toBe("taken");
  });

  it("A7 is left after the cap also where the holder of the online key says that a document is 2^50 bytes long", async () => {
    const own = [await site.served("targets"), await site.served("publisher")];
    await site.bind(own, 5, { lengthBytes: 2 ** 50 });
    let poured: ReturnType<typeof pour> | undefined;
    site.answer = (name, response) => name.endsWith(".targets.json") && ((poured = pour(response)), true);
    expect(await site.refresh()).toBe("metadata_refused");
    expect(poured?.sentBytes()).toBeLessThan(32 * 1_048_576);
  });

  it.each([
    ["the signed length", 1_000, 24],
    ["the cap where the signed length is 2^50 bytes", 2 ** 50, 48],
  ])("A7 is left in the middle of a target after %s", async (_, lengthBytes, mostMb) => {
    const place = mkdtempSync(join(site.folder, "place-"));
    await offerTargets(["model/1.0.0/x.json"], Buffer.alloc(1_000), lengthBytes);
    let poured: ReturnType<typeof pour> | undefined;
    site.answer = (name, response) => name.startsWith("files/") && ((poured = pour(response)), true);
    const code = await site.withUpdater((updater) =>
      toCode(updater.download("model/1.0.0/x.json", { baseUrl: `${site.url}files/`, folder: place })),
    );
    expect(code).toBe("target_refused");
    expect(poured?.sentBytes()).toBeLessThan(mostMb * 1_048_576);
    expect(readdirSync(place)).toEqual([]);
  });
});

describe("a server that drips", () => {
  const slow: readonly (readonly [string, Ask, (response: ServerResponse) => void])[] = [
    [
      "its body, by its speed",
      { stallMs: 300, stallBytes: 1_024 },
      (response) => (response.flushHeaders(), drip(response, "1\r\n \r\n")),
    ],
    [
      "its body at the least speed, by the whole time",
      { stallMs: 50, stallBytes: 1, totalTimeoutMs: 400 },
      (response) => (response.flushHeaders(), drip(response, "1\r\n \r\n")),
    ],
    [
      "its header, which keeps the connection awake",
      { answerTimeoutMs: 400 },
      (response) => (response.socket?.write("HTTP/1.1 200 OK\r\nx: "), drip(response, "y")),
    ],
    [
      "one provisional answer after the other",
      { answerTimeoutMs: 400 },
      (response) => drip(response, "HTTP/1.1 102 Processing\r\n\r\n"),
    ],
    [
      "nothing, and speaks another protocol instead",
      { answerTimeoutMs: 2_000 },
      (response) =>
        void response.socket?.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"),
    ],
  ];
  it.each(slow)("A7 is left with %s", async (_what, ask, handle) => {
    site.answer = (name, response) => name === "timestamp.json" && (handle(response), true);
    const begunMs = performance.now();
    expect(await site.refresh(ask)).toBe("metadata_unreachable");
    expect(performance.now() - begunMs).toBeLessThan(3_000);
    site.answer = undefined;
    expect(await site.refresh()).toBe("taken");
  });
});

describe("a document with two readings", () => {
  // Read by a lenient parser, each of these is the honest timestamp or a newer one.
  const changes: readonly (readonly [string, (text: string) => string | Buffer])[] = [
    ["a member twice", (text) => text.replace('"version": 1', '"version": 1, "version": 7')],
    ["a member twice in another spelling", (text) => text.replace('"version": 1', '"version": 1, "\\u0076ersion": 7')],
    [
      "ten thousand levels",
      (text) => text.replace('"signed"', `"x": ${"[".repeat(5_000)}${"]".repeat(5_000)}, "signed"`),
    ],
    ["1e400", (text) => text.replace('"version": 1', '"version": 1e400')],
    ["-0", (text) => text.replace('"version": 1', '"version": -0')],
    ["2^53 + 1", (text) => text.replace('"version": 1', '"version": 9007199254740993')],
    ["1.0", (text) => text.replace('"version": 1', '"version": 1.0')],
    ["something after its end", (text) => `${text}{}`],
    ["a byte order mark", (text) => `\uFEFF${text}`],
    [
      "bytes that are no UTF-8",
      (text) =>
        Buffer.concat([
          Buffer.from(text.trimEnd().slice(0, -1)),
          Buffer.from(',"x":"\u0000"}', "latin1").map((byte) => (byte === 0 ? 0xff : byte)),
        ]),
    ],
  ];
  it.each(changes)("A8 is refused: %s; what was trusted stays", async (_what, change) => {
    const text = (await site.trust.serve()).get("timestamp.json") ?? "";
    const forged = change(text);
    expect(Buffer.from(forged).equals(Buffer.from(text))).toBe(false);
    site.answer = (name, response) => name === "timestamp.json" && (response.end(forged), true);
    const before = site.kept();
    expect(await site.refresh()).toBe("metadata_refused");
    expect(site.kept()).toEqual(before);
    site.answer = undefined;
    expect(await site.refresh()).toBe("taken");
  });

  it("A8 compares versions exactly: the greatest that there is does not pass for its neighbour", async () => {
    const own = [await toFile("targets", createTargets({ version: 1, expiresAtMs: farMs }), [site.trust.root])];
    await site.bind(own, Number.MAX_SAFE_INTEGER);
    expect(await site.refresh()).toBe("taken");
    await site.bind(own, Number.MAX_SAFE_INTEGER - 1);
    expect(await site.refresh()).toBe("metadata_rollback");
    await site.bind(own, Number.MAX_SAFE_INTEGER + 2);
    expect(await site.refresh()).toBe("metadata_refused");
  });
});
