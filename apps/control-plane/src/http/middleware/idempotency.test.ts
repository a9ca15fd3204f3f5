import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CodedError, silentLogger } from "@fairlead/kernel";
import { openStore, type Store } from "@fairlead/store";
import { afterAll, describe, expect, it } from "vitest";
import { createIdempotency } from "./idempotency.ts";

const folder = mkdtempSync(join(tmpdir(), "idempotency-"));
const store = openStore({ folder, nowMs: 1_000 });
const logged: string[] = [];
const parts = {
  clock: { nowMs: () => 1_000, monotonicMs: () => 1_000 },
  logger: { ...silentLogger, error: (message: string) => void logged.push(message) },
};
const request = (key: string) => ({ actor: "admin:adm-1", key, content: { method: "POST", path: "/x" } });
afterAll(async () => {
  await store.close();
  rmSync(folder, { recursive: true, force: true });
});

describe("a write with a key", () => {
  it("is done once, and answered twice", async () => {
    let done = 0;
    const once = createIdempotency({ store, ...parts });
    const run = async () => ({ body: { done: (done += 1) } });
    expect(await once(request("k-1"), run)).toEqual({ body: { done: 1 } });
    expect(await once(request("k-1"), run)).toMatchObject({
      body: { done: 1 },
      headers: { "idempotency-replayed": "true" },
    });
    expect(done).toBe(1);
  });

  it("that failed may be tried again", async () => {
    const once = createIdempotency({ store, ...parts });
    await expect(once(request("k-2"), () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(await once(request("k-2"), async () => ({ body: 2 }))).toEqual({ body: 2 });
  });

  it("that was done is not said to have failed when its answer cannot be kept", async () => {
    const full: Store = {
      ...store,
      transaction: () => Promise.reject(new CodedError("storage_full", "the disk is full")),
    };
    const once = createIdempotency({ store: full, ...parts });
    expect(await once(request("k-3"), async () => ({ body: 3 }))).toEqual({ body: 3 });
    expect(logged).toEqual(["an answer is not kept for repetition"]);
  });
});
