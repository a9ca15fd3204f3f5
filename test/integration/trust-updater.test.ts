import { addDelegation, createRoot, createTargets, signMetadata, toMetadataText } from "@fairlead/artifacts/tuf";
import { createHttpFetch, initializeTrust, openUpdater, type HttpFetchOptions } from "@fairlead/updater";
import { Root, Signature, Targets } from "@tufjs/models";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createSigner, TestTrust } from "../support/trust.ts";

const farMs = Date.parse("2099-01-01");
let folder = "";
let trust = new TestTrust();
let server: Server;
let asked: string[] = [];
/** Answers instead of the repository. */
let answer: ((name: string, response: ServerResponse) => boolean) | undefined;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "trust-"));
  trust = new TestTrust();
  asked = [];
  answer = undefined;
  server = createServer((request, response) => {
    const name = (request.url ?? "").slice(1);
    asked.push(name);
    if (answer?.(name, response) === true) return;
    void trust.serve().then((files) => {
      const text = files.get(decodeURIComponent(name));
      response.writeHead(text === undefined ? 404 : 200).end(text);
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  await initializeTrust(join(folder, "trust"), Buffer.from(await trust.firstRoot()));
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  rmSync(folder, { recursive: true, force: true });
});

interface Ask extends HttpFetchOptions {
  readonly nowMs?: number;
}
async function withUpdater<Result>(
  run: (updater: Awaited<ReturnType<typeof openUpdater>>) => Promise<Result>,
  ask: Ask = {},
) {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const nowMs = () => ask.nowMs ?? Date.now();
  const updater = await openUpdater({
    folder: join(folder, "trust"),
    metadataUrl: url,
    fetch: createHttpFetch(ask),
    nowMs,
  });
  try {
    return await run(updater);
  } finally {
    await updater.close();
  }
}
const refresh = (ask: Ask = {}) => withUpdater((updater) => updater.refresh(), ask);
const toCode = (failed: Promise<unknown>) =>
  failed.then(
    () => "taken",
    (error: unknown) => (error as { code?: string }).code ?? String(error),
  );

describe("the updater", () => {
  it("A1 takes no older documents, signed as they are, and keeps what it has", async () => {
    const first = await trust.serve();
    await refresh();
    trust.renew();
    await refresh();
    const kept = readFileSync(join(folder, "trust", "timestamp.json"), "utf8");
    for (const [name, text] of first) trust.forged.set(name, text);
    expect(await toCode(refresh())).toBe("metadata_rollback");
    expect(readFileSync(join(folder, "trust", "timestamp.json"), "utf8")).toBe(kept);
  });

  it("A2 takes nothing when the statement of freshness has ended, also by a clock that was set back", async () => {
    trust.timestampLifeMs = -1_000;
    expect(await toCode(refresh())).toBe("metadata_expired");
    trust.timestampLifeMs = 60_000;
    trust.renew();
    expect(await toCode(refresh({ nowMs: Date.now() + 120_000 }))).toBe("metadata_expired");
    expect(await toCode(refresh())).toBe("taken");
  });

  it("A3 follows no root that only new keys, only old keys or one key twice signed", async () => {
    const next = createSigner();
    const own = { keys: [next.key], threshold: 1 };
    const online = { keys: [trust.online.key], threshold: 1 };
    const root = () =>
      createRoot({ root: own, targets: own, snapshot: online, timestamp: online }, { version: 2, expiresAtMs: farMs });
    for (const signers of [[next], [trust.root]]) {
      trust.forged.set("2.root.json", toMetadataText(await signMetadata(root(), signers)));
      expect(await toCode(refresh())).toBe("metadata_refused");
    }
    const twice = { keys: [trust.root.key, next.key], threshold: 2 };
    const both = createRoot(
      { root: twice, targets: own, snapshot: online, timestamp: online },
      { version: 2, expiresAtMs: farMs },
    );
    const metadata = await signMetadata(both, [trust.root]);
    // One key under two names: the second name is not what the key's own digest gives.
    const json = metadata.toJSON() as {
      signed: { keys: Record<string, unknown>; roles: { root: { keyids: string[] } } };
    };
    const copy = "f".repeat(64);
    json.signed.keys[copy] = json.signed.keys[trust.root.key.keyID];
    json.signed.roles.root.keyids = [trust.root.key.keyID, copy];
    const again = await signMetadata(Root.fromJSON(json.signed as never), [trust.root]);
    again.signatures[copy] = new Signature({ keyID: copy, sig: again.signatures[trust.root.key.keyID]?.sig ?? "" });
    trust.forged.set("2.root.json", toMetadataText(again));
    expect(await toCode(refresh())).toBe("metadata_refused");
    expect(JSON.parse(readFileSync(join(folder, "trust", "root.json"), "utf8"))).toMatchObject({
      signed: { version: 1 },
    });
  });

  it("A4 mixes no documents of two days", async () => {
    const dayOne = await trust.serve();
    trust.renew();
    const names = [...(await trust.serve()).keys()];
    const newer = names.find((name) => /^\d+\.targets\.json$/u.test(name) && !dayOne.has(name)) ?? "";
    trust.forged.set(newer, dayOne.get(newer.replace(/^\d+/u, "1")) ?? "");
    expect(await toCode(refresh())).toMatch(/metadata_(?:refused|rollback)/u);
  });

  it("A6 never makes a path of a target's name", async () => {
    const paths = ["../../etc/cron.d/x", "/etc/passwd", "a%2e%2e%2fb", "..\\x", "x".repeat(120), "CON", "dot.", "pаge"];
    const bytes = Buffer.from("{}");
    const sha256 = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    const json = createTargets({ version: 9, expiresAtMs: farMs }).toJSON() as { targets: Record<string, unknown> };
    for (const path of paths) json.targets[path] = { length: bytes.length, hashes: { sha256 } };
    const targets = Targets.fromJSON(json as never);
    await trust.replaceTargets(targets);
    answer = (name, response) => !name.endsWith(".json") && (response.end(bytes), true);
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/files/`;
    const place = mkdtempSync(join(folder, "place-"));
    await withUpdater(async (updater) => {
      for (const path of paths) await updater.download(path, { baseUrl: base, folder: place });
    });
    expect(readdirSync(place)).toHaveLength(paths.length);
    expect(readdirSync(folder).filter((name) => !/^(?:trust|place-)/u.test(name))).toEqual([]);
  });

  it("A7 leaves a server that never ends a document, after no more than the cap", async () => {
    let sent = 0;
    answer = (name, response) => {
      if (name !== "timestamp.json") return false;
      const block = Buffer.alloc(65_536, " ");
      const push = (): void => {
        while (!response.destroyed && response.write(block)) sent += block.length;
      };
      response.on("drain", push);
      push();
      return true;
    };
    expect(await toCode(refresh())).toBe("metadata_refused");
    expect(sent).toBeLessThan(32 * 1_048_576);
  });

  it("A7 leaves a server that drips, by its speed and not by the whole time", async () => {
    answer = (name, response) => {
      if (name !== "timestamp.json") return false;
      const timer = setInterval(() => response.write(" "), 20);
      response.on("close", () => clearInterval(timer));
      return true;
    };
    const begunMs = performance.now();
    expect(await toCode(refresh({ stallMs: 300, stallBytes: 1_024 }))).toBe("metadata_unreachable");
    expect(performance.now() - begunMs).toBeLessThan(5_000);
  });

  it("A9 asks a bounded number of publishers, and puts no name of one into a path", async () => {
    let targets = createTargets({ version: 1, expiresAtMs: farMs });
    targets = addDelegation(targets, { role: "one", keys: [trust.publisher.key], threshold: 1, models: ["*"] }, farMs);
    const json = targets.toJSON() as { delegations: { roles: Record<string, unknown>[] }; version: number };
    const [role] = json.delegations.roles;
    json.delegations.roles = Array.from({ length: 40 }, (_, index) => ({
      ...role,
      terminating: false,
      name: index === 0 ? "../root" : `many-${index}`,
    }));
    json.version = 9;
    const own = createTargets({ version: 9, expiresAtMs: farMs });
    const delegated = toMetadataText(await signMetadata(own, [trust.publisher]));
    await trust.replaceTargets(Targets.fromJSON(json as never), delegated);
    await withUpdater(async (updater) => {
      expect(await updater.findTarget("model/1.0.0/x.json")).toBeUndefined();
    });
    expect(asked.length).toBeLessThan(40);
    expect(asked.some((name) => name.includes("../"))).toBe(false);
    expect(readdirSync(folder)).toEqual(["trust"]);
    expect(JSON.parse(readFileSync(join(folder, "trust", "root.json"), "utf8"))).toMatchObject({
      signed: { _type: "root" },
    });
  });

  it("keeps what it verified when it is killed between two documents, and goes on from there", async () => {
    await refresh();
    const before = readdirSync(join(folder, "trust")).toSorted();
    trust.renew();
    answer = (name, response) => /snapshot/u.test(name) && (response.destroy(), true);
    expect(await toCode(refresh())).toBe("metadata_unreachable");
    answer = undefined;
    expect(readdirSync(join(folder, "trust")).toSorted()).toEqual(before);
    expect(await toCode(refresh())).toBe("taken");
  });
});
