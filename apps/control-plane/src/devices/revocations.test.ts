import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openStore, type Store } from "@fairlead/store";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createAuthorityPair, parseAuthority } from "../authority/certificates.ts";
import { createRevocations } from "./revocations.ts";

const startMs = Date.UTC(2026, 10, 28);
const dayMs = 86_400_000;

let folder = "";
let store: Store;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "revocations-"));
  store = openStore({ folder, nowMs: startMs });
});
afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true, force: true });
});

/** A clock that goes on by so much with every look at it, so that making a list takes a known time. */
async function open(stepMs: number) {
  let elapsedMs = 0;
  const clock = { nowMs: () => startMs + elapsedMs, monotonicMs: () => (elapsedMs += stepMs) };
  const authority = await parseAuthority(await createAuthorityPair(startMs));
  const keep = (serials: readonly string[]) =>
    store.transaction((tx) =>
      tx.deviceCertificates.keep(
        "cam-1",
        serials.map((serial) => ({ serial, notAfterMs: startMs + 30 * dayMs })),
        clock.nowMs(),
      ),
    );
  const pass = (ms: number): void => void (elapsedMs += ms);
  return { revocations: createRevocations({ store, clock, authority }), keep, pass };
}

describe("the list that brokers are given", () => {
  it("is the one that was signed until something is issued or ends, and is signed anew after a day", async () => {
    const { revocations, keep, pass } = await open(1);
    await keep(["01"]);
    const first = await revocations.read();
    expect(await revocations.read()).toBe(first);
    expect(first.body.devices).toEqual([]);
    await keep([]);
    const second = await revocations.read();
    expect(second.body.devices).toEqual(["cam-1"]);
    expect(second.etag).not.toBe(first.etag);
    await keep(["02"]);
    const third = await revocations.read();
    expect(third.body.devices).toEqual([]);
    pass(dayMs - 10);
    expect(await revocations.read()).toBe(third);
    pass(20);
    const fourth = await revocations.read();
    expect(fourth.etag).not.toBe(third.etag);
    expect(fourth.body.nextUpdateMs).toBeGreaterThan(third.body.nextUpdateMs + dayMs - 100);
  });

  it("is late by twenty times what it takes, when it takes long: what ends all the time does not keep the plane busy", async () => {
    const { revocations, keep, pass } = await open(300);
    await keep(["01"]);
    const first = await revocations.read();
    await keep([]);
    expect(await revocations.read()).toBe(first);
    pass(20 * 300);
    expect((await revocations.read()).body.devices).toEqual(["cam-1"]);
  });
});
