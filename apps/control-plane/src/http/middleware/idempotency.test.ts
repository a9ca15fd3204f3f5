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

  it("that was done is not said to have failed when its answer cannot be kept, and is not done again", async () => {
    let transactions = 0;
    const filling: Store = {
      ...store,
      transaction: (work) => {
        transactions += 1;
        if (transactions > 1) return Promise.reject(new CodedError("storage_full", "the disk is full"));
        return store.transaction(work);
      },
    };
    const once = createIdempotency({ store: filling, ...parts });
    expect(await once(request("k-3"), async () => ({ body: 3 }))).toEqual({ body: 3 });
    expect(logged).toEqual(["an answer is not kept for repetition"]);
    await expect(once(request("k-3"), async () => ({ body: 4 }))).rejects.toThrow("it may have been done");
  });

  it("is not begun when its key cannot be kept", async () => {
    const full: Store = {
      ...store,
      transaction: () => Promise.reject(new CodedError("storage_full", "the disk is full")),
    };
    let done = 0;
    const run = async () => ({ body: (done += 1) });
    await expect(createIdempotency({ store: full, ...parts })(request("k-4"), run)).rejects.toThrow("the disk is full");
    expect(done).toBe(0);
  });

  it("that a power cut ended is not done again by the plane that starts afterwards", async () => {
    const interrupted = createIdempotency({ store, ...parts });
    const { promise: inTheMiddle, resolve: begin } = Promise.withResolvers<void>();
    // Its process ends here: this write never ends.
    const cut = async () => {
      begin();
      return await new Promise<never>(() => undefined);
    };
    void interrupted(request("k-5"), cut);
    await inTheMiddle;
    let done = 0;
    const again = createIdempotency({ store, ...parts })(request("k-5"), async () => ({ body: (done += 1) }));
    await expect(again).rejects.toMatchObject({ code: "conflict" });
    expect(done).toBe(0);
  });

  it("that runs is refused a second time meanwhile, and repeated afterwards", async () => {
    const once = createIdempotency({ store, ...parts });
    const { promise: answer, resolve: finish } = Promise.withResolvers<{ body: number }>();
    const first = once(request("k-6"), () => answer);
    await expect(once(request("k-6"), async () => ({ body: 7 }))).rejects.toThrow("the same request is running");
    finish({ body: 6 });
    expect(await first).toEqual({ body: 6 });
    expect(await once(request("k-6"), async () => ({ body: 7 }))).toMatchObject({ body: 6 });
  });
});
