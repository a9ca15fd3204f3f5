import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openStore, type Store } from "@fairlead/store";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createId } from "../create-id.ts";
import { ensureAdminToken } from "./admin-token.ts";

const nowMs = 1_790_000_000_000;
const yearMs = 365 * 86_400_000;
let folder = "";
let store: Store;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "admin-token-"));
  store = openStore({ folder, nowMs });
});
afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true, force: true });
});

async function ensure(isForced = false): Promise<readonly [token: string, expiresAtMs: number][]> {
  const printed: [string, number][] = [];
  await ensureAdminToken({
    ...{ store, nowMs, isForced, authorityFingerprint: "f".repeat(64), audit: { append: async () => undefined } },
    createId: (prefix) => createId(prefix, nowMs),
    print: async (token, expiresAtMs) => void printed.push([token, expiresAtMs]),
  });
  return printed;
}

describe("the administrator token that the plane makes by itself", () => {
  it("is made once, ends after a year, and says so", async () => {
    expect(await ensure()).toEqual([[expect.stringMatching(/^fla_/u), nowMs + yearMs]]);
    expect(await ensure()).toEqual([]);
    const rows = await store.read.adminTokens.list();
    expect(rows).toMatchObject([{ role: "admin", expiresAtMs: nowMs + yearMs, revokedAtMs: null }]);
  });

  it("is made again for whoever owns the machine", async () => {
    const [first] = await ensure();
    const [second] = await ensure(true);
    expect(second?.[0]).not.toBe(first?.[0]);
    expect(await store.read.adminTokens.list()).toHaveLength(2);
  });
});
