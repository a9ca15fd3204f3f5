import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import BetterSqlite3 from "better-sqlite3";
import { is } from "drizzle-orm";
import { getTableConfig, SQLiteTable } from "drizzle-orm/sqlite-core";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readdirSync } from "node:fs";
import { openStore } from "./store.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "store-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function loadTables(): Promise<SQLiteTable[]> {
  const schema = new URL("schema/", import.meta.url);
  const files = readdirSync(schema).filter((name) => name.endsWith(".ts") && name !== "define-table.ts");
  const modules = await Promise.all(files.map(async (name) => import(new URL(name, schema).href) as Promise<object>));
  return modules.flatMap((module) => Object.values(module).filter((value) => is(value, SQLiteTable)));
}

describe("the schema", () => {
  test("of the migrations equals the table definitions", async () => {
    await openStore({ folder, nowMs: 1 }).close();
    const sqlite = new BetterSqlite3(join(folder, "plane.db"), { readonly: true });
    const defined = new Map<string, unknown>();
    for (const table of await loadTables()) {
      const config = getTableConfig(table);
      const composite = config.primaryKeys[0]?.columns.map((column) => column.name) ?? [];
      defined.set(
        config.name,
        config.columns.map((column) => ({
          name: column.name,
          type: column.getSQLType().toUpperCase(),
          required: column.notNull || column.primary,
          key: column.primary || composite.includes(column.name),
        })),
      );
    }
    const migrated = new Map<string, unknown>();
    const names = sqlite
      .prepare<[], string>("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
      .pluck()
      .all();
    for (const name of names.filter((table) => table !== "migrations")) {
      const columns = sqlite.pragma(`table_info(${name})`) as {
        name: string;
        type: string;
        notnull: number;
        pk: number;
      }[];
      migrated.set(
        name,
        columns.map((column) => ({
          name: column.name,
          type: column.type,
          required: column.notnull === 1,
          key: column.pk > 0,
        })),
      );
    }
    sqlite.close();
    expect(Object.fromEntries(migrated)).toEqual(Object.fromEntries(defined));
  });
});

describe("opening", () => {
  test("keeps what was stored and refuses a second owner", async () => {
    const store = openStore({ folder, nowMs: 1 });
    await store.transaction((tx) => tx.settings.set("name", { a: 1 }));
    expect(() => openStore({ folder, nowMs: 2 })).toThrow(expect.objectContaining({ code: "store_locked" }));
    await store.close();
    const again = openStore({ folder, nowMs: 3 });
    expect(await again.read.settings.get("name")).toEqual({ a: 1 });
    await again.close();
  });

  test("knows the certificates of a data folder from before they were kept", async () => {
    await openStore({ folder, nowMs: 1 }).close();
    const sqlite = new BetterSqlite3(join(folder, "plane.db"));
    sqlite.exec("DROP TABLE device_certificates; DELETE FROM migrations WHERE name = '0022-device-certificates.sql'");
    const row = sqlite.prepare<[Record<"device" | "fingerprint" | "pending", string | null>]>(
      `INSERT INTO devices (device, tenant, labels, profile, lifecycle, revision, online, integrity, deadLetters, certificateSerial,
         certificateNotAfterMs, certificateFingerprint, pendingCertificate, enrolledAtMs, assurance, enrolledKey, commandGeneration)
       VALUES (@device, 't', '{}', 'p', 'enrolled', 1, 0, 'unknown', 0, @device || '-serial', 500, @fingerprint, @pending, 7, 'software', 'k', 0)`,
    );
    const pending = JSON.stringify({ serial: "next", fingerprint: "sha256:n", notAfterMs: 900 });
    row.run({ device: "cam-a", fingerprint: "sha256:a", pending });
    row.run({ device: "cam-b", fingerprint: null, pending: null });
    sqlite.close();
    const store = openStore({ folder, nowMs: 2 });
    expect(await store.read.deviceCertificates.listEnded(2)).toEqual([{ serial: "cam-b-serial", endedAtMs: 7 }]);
    const before = await store.read.deviceCertificates.getState();
    await store.transaction((tx) => tx.deviceCertificates.keep("cam-a", [], 9));
    expect(await store.read.deviceCertificates.getState()).not.toBe(before);
    const ended = (await store.read.deviceCertificates.listEnded(9)).map(({ serial }) => serial);
    expect(ended).toEqual(["cam-a-serial", "cam-b-serial", "next"]);
    expect(await store.read.deviceCertificates.listEndedDevices(9)).toEqual(["cam-a", "cam-b"]);
    // Brokers with a slow clock need them for two days more.
    const twoDaysMs = 2 * 86_400_000;
    await store.transaction((tx) => tx.deviceCertificates.removeExpired(twoDaysMs + 500));
    expect((await store.read.deviceCertificates.listEnded(9)).map(({ serial }) => serial)).toEqual(["next"]);
    await store.close();
  });

  test("refuses a file that is no database", () => {
    writeFileSync(join(folder, "plane.db"), "not a database, certainly not one ".repeat(200));
    expect(() => openStore({ folder, nowMs: 1 })).toThrow(expect.objectContaining({ code: "store_corrupt" }));
  });

  test("refuses another program's database and one of a newer program", async () => {
    const foreign = new BetterSqlite3(join(folder, "plane.db"));
    foreign.exec("CREATE TABLE theirs (a)");
    foreign.close();
    expect(() => openStore({ folder, nowMs: 1 })).toThrow(expect.objectContaining({ code: "store_foreign" }));
    rmSync(join(folder, "plane.db"));
    await openStore({ folder, nowMs: 1 }).close();
    const newer = new BetterSqlite3(join(folder, "plane.db"));
    newer.exec("INSERT INTO migrations VALUES ('9999-later.sql', 'x', 1)");
    newer.close();
    expect(() => openStore({ folder, nowMs: 1 })).toThrow(expect.objectContaining({ code: "store_newer" }));
  });
});

describe("a transaction", () => {
  test("shows nothing to readers before its commit and nothing at all when it fails", async () => {
    const store = openStore({ folder, nowMs: 1 });
    const hooks: string[] = [];
    await store.transaction(async (tx) => {
      tx.afterCommit(() => hooks.push("committed"));
      await tx.settings.set("a", 1);
      expect(await store.read.settings.get("a")).toBeUndefined();
    });
    const failed = store.transaction(async (tx) => {
      tx.afterCommit(() => hooks.push("never"));
      await tx.settings.set("a", 2);
      throw new Error("no");
    });
    await expect(failed).rejects.toThrow("no");
    expect(await store.read.settings.get("a")).toBe(1);
    expect(hooks).toEqual(["committed"]);
    await store.close();
  });

  test("waits for the one before it and cannot be nested", async () => {
    const store = openStore({ folder, nowMs: 1 });
    const increment = () =>
      store.transaction(async (tx) => {
        const value = Number((await tx.settings.get("n")) ?? 0);
        await new Promise((resolve) => setImmediate(resolve));
        await tx.settings.set("n", value + 1);
      });
    await Promise.all(Array.from({ length: 20 }, increment));
    expect(await store.read.settings.get("n")).toBe(20);
    const nested = store.transaction(() => increment());
    await expect(nested).rejects.toMatchObject({ code: "transaction_nested" });
    await store.close();
  });

  test("is the only way to write", async () => {
    const store = openStore({ folder, nowMs: 1 });
    await expect(store.read.settings.set("a", 1)).rejects.toMatchObject({ code: "SQLITE_READONLY" });
    await store.close();
  });

  test("answers a full disk with storage_full and keeps what was there", async () => {
    await openStore({ folder, nowMs: 1 }).close();
    const store = openStore({ folder, nowMs: 1, maxPages: 80 });
    await store.transaction((tx) => tx.settings.set("kept", 1));
    const big = store.transaction((tx) => tx.settings.set("big", "x".repeat(2_000_000)));
    await expect(big).rejects.toMatchObject({ code: "storage_full" });
    expect(await store.read.settings.get("kept")).toBe(1);
    await store.transaction((tx) => tx.settings.set("kept", 2));
    await store.close();
  });

  test("changes nothing for a device update that names no column, as a replayed evidence makes it", async () => {
    const store = openStore({ folder, nowMs: 1 });
    await expect(store.transaction((tx) => tx.devices.update("dev-a", {}))).resolves.toBeUndefined();
    await store.close();
  });

  test("takes the last use of an enrolment token only once", async () => {
    const store = openStore({ folder, nowMs: 1 });
    const token = {
      tokenId: "t",
      hash: "h",
      description: "",
      labels: {},
      autoApprove: true,
      selector: null,
      profile: null,
    };
    await store.transaction((tx) => tx.enrolmentTokens.add({ ...token, usesLeft: 1, createdAtMs: 1, expiresAtMs: 9 }));
    const take = () => store.transaction((tx) => tx.enrolmentTokens.takeUse("t", 5));
    expect((await Promise.all([take(), take(), take()])).filter(Boolean)).toHaveLength(1);
    await store.close();
  });
});
