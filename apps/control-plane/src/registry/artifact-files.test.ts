import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createArtifactFiles, type ReceiveOptions } from "./artifact-files.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "artifacts-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const toDigest = (bytes: string): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

function toBody(...chunks: readonly string[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(Buffer.from(chunk));
      controller.close();
    },
  });
}

function toRequest(change: Partial<ReceiveOptions> = {}): ReceiveOptions {
  const signal = new AbortController().signal;
  return { body: toBody("ab", "cd"), maxBytes: 1_000, declaredBytes: null, signal, kept: true, ...change };
}

async function openFiles(change: Partial<Parameters<typeof createArtifactFiles>[0]> = {}) {
  const files = createArtifactFiles({ folder, reserveBytes: 0, ...change });
  await files.prepare(new Set());
  return files;
}

const leftovers = (): string[] => readdirSync(join(folder, "incoming"));

describe("an upload", () => {
  test("is digested while it is written and appears under its digest in one step", async () => {
    const files = await openFiles();
    const received = await files.receive(toRequest({ declaredBytes: 4 }));
    expect(received).toMatchObject({ digest: toDigest("abcd"), sizeBytes: 4 });
    expect(readdirSync(join(folder, "sha256"))).toEqual([]);
    await files.install(received);
    await received.discard();
    const hex = toDigest("abcd").slice(7);
    expect(readFileSync(join(folder, "sha256", hex.slice(0, 2), hex), "utf8")).toBe("abcd");
    expect(leftovers()).toEqual([]);
  });

  test("that ends early leaves nothing and says how much came", async () => {
    const files = await openFiles();
    await expect(files.receive(toRequest({ declaredBytes: 9 }))).rejects.toMatchObject({
      code: "length_mismatch",
      message: "the upload ended after 4 of 9 bytes",
    });
    expect(leftovers()).toEqual([]);
  });

  test("whose sender breaks off leaves nothing", async () => {
    const files = await openFiles();
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.error(new Error("socket closed"));
      },
    });
    await expect(files.receive(toRequest({ body }))).rejects.toMatchObject({ code: "length_mismatch" });
    expect(leftovers()).toEqual([]);
  });

  test("that falls silent is given up", async () => {
    const files = await openFiles({ idleTimeoutMs: 20 });
    const body = new ReadableStream<Uint8Array>({ start: (controller) => controller.enqueue(Buffer.from("a")) });
    await expect(files.receive(toRequest({ body }))).rejects.toMatchObject({
      code: "length_mismatch",
      message: "the upload ended after 1 bytes: less than 16384 bytes came in 20 ms",
    });
    expect(leftovers()).toEqual([]);
  });

  test("A49 that drips is given up as well", async () => {
    const files = await openFiles({ idleTimeoutMs: 100 });
    let timer: NodeJS.Timeout | undefined;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        timer = setInterval(() => controller.enqueue(Buffer.from("a")), 10);
      },
      cancel: () => clearInterval(timer),
    });
    await expect(files.receive(toRequest({ body }))).rejects.toMatchObject({ code: "length_mismatch" });
    expect(leftovers()).toEqual([]);
  });

  test("is given up when the request is aborted", async () => {
    const files = await openFiles();
    const abort = new AbortController();
    const body = new ReadableStream<Uint8Array>({ start: (controller) => controller.enqueue(Buffer.from("a")) });
    const receiving = files.receive(toRequest({ body, signal: abort.signal }));
    abort.abort();
    await expect(receiving).rejects.toMatchObject({ code: "length_mismatch" });
    expect(leftovers()).toEqual([]);
  });

  test("is stopped at its length cap, declared or not", async () => {
    const files = await openFiles();
    const tooLarge = { code: "payload_too_large" };
    await expect(files.receive(toRequest({ maxBytes: 3 }))).rejects.toMatchObject(tooLarge);
    await expect(files.receive(toRequest({ maxBytes: 3, declaredBytes: 4 }))).rejects.toMatchObject(tooLarge);
    expect(leftovers()).toEqual([]);
  });

  test("on a full disk says so", async () => {
    const files = await openFiles({ createFile: async () => await open("/dev/full", "w") });
    await expect(files.receive(toRequest())).rejects.toMatchObject({ code: "storage_full" });
  });

  test("that could not fit is refused before a byte is read", async () => {
    const files = await openFiles({ reserveBytes: 2 ** 60 });
    await expect(files.receive(toRequest({ declaredBytes: 4 }))).rejects.toMatchObject({ code: "storage_full" });
    expect(leftovers()).toEqual([]);
  });

  test("of stored bytes is counted, not written", async () => {
    const files = await openFiles();
    const received = await files.receive(toRequest({ kept: false }));
    expect(received).toMatchObject({ path: null, digest: toDigest("abcd"), sizeBytes: 4 });
    expect(leftovers()).toEqual([]);
  });
});

describe("the folder", () => {
  test("is cleaned at the start of what an interrupted upload left", async () => {
    const hex = toDigest("x").slice(7);
    const kept = toDigest("y").slice(7);
    mkdirSync(join(folder, "incoming"), { recursive: true });
    writeFileSync(join(folder, "incoming", "half.part"), "x");
    for (const name of [hex, kept]) {
      mkdirSync(join(folder, "sha256", name.slice(0, 2)), { recursive: true });
      writeFileSync(join(folder, "sha256", name.slice(0, 2), name), "?");
    }
    await createArtifactFiles({ folder }).prepare(new Set([`sha256:${kept}`]));
    expect(leftovers()).toEqual([]);
    expect(existsSync(join(folder, "sha256", hex.slice(0, 2), hex))).toBe(false);
    expect(existsSync(join(folder, "sha256", kept.slice(0, 2), kept))).toBe(true);
  });

  test("cannot be left by a name that is no digest", async () => {
    const files = await openFiles();
    await expect(files.open("../../etc/passwd", 1)).rejects.toThrow("Invalid string");
    await expect(files.remove("sha256:..")).rejects.toThrow("Invalid string");
  });

  test("does not serve a file of another size", async () => {
    const files = await openFiles();
    const received = await files.receive(toRequest());
    await files.install(received);
    expect(await files.open(received.digest, 5)).toBeUndefined();
    await using handle = await files.open(received.digest, 4);
    expect(handle).toBeDefined();
  });
});
