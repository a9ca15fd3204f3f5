import { addDelegation, addRelease, createTargets, type ReleaseTarget } from "@fairlead/artifacts/tuf";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { OwnedProcess } from "../support/process.ts";
import { farMs, toFile, TrustSite } from "../support/trust-site.ts";
import { createSigner } from "../support/trust.ts";

/*
 * The executable that the conformance suite of The Update Framework drives, as that suite drives it: as a process, by its
 * options and its exit code. The suite itself is not part of this project.
 */

let site: TrustSite;
let metadata: string;
let targets: string;
/** Target files by the path that is asked for. */
let served: Map<string, string>;
beforeEach(async () => {
  site = await TrustSite.start();
  [metadata, targets] = [join(site.folder, "client"), join(site.folder, "targets")];
  mkdirSync(targets);
  served = new Map();
  site.answer = (name, response) => {
    const text = served.get(name);
    if (text === undefined) return false;
    response.writeHead(200).end(text);
    return true;
  };
});
afterEach(() => site[Symbol.asyncDispose]());

function addTarget(path: string, text: string): ReleaseTarget {
  const sha256 = createHash("sha256").update(text).digest("hex");
  const at = path.lastIndexOf("/") + 1;
  // Consistent snapshots: the digest stands before the file's name.
  served.set(`files/${path.slice(0, at)}${sha256}.${path.slice(at)}`, text);
  return { path, lengthBytes: Buffer.byteLength(text), sha256 };
}

async function run(...args: string[]): Promise<{ readonly code: number | string; readonly output: string }> {
  await using client = new OwnedProcess({ name: "tuf-client", entry: "test/conformance/tuf-client", args });
  const code = await client.exited();
  return { code, output: client.output };
}
const own = () => ["--metadata-dir", metadata, "--metadata-url", site.url];
const init = async () => {
  const root = join(site.folder, "first.json");
  writeFileSync(root, await site.trust.firstRoot());
  return await run("--metadata-dir", metadata, "init", root);
};
const refresh = () => run(...own(), "refresh");
const download = (...names: string[]) => {
  const wanted = names.flatMap((name) => ["--target-name", name]);
  return run(...own(), ...wanted, "--target-base-url", `${site.url}files`, "--target-dir", targets, "download");
};
const kept = () =>
  Object.fromEntries(
    readdirSync(targets).map((name) => [decodeURIComponent(name), readFileSync(join(targets, name), "utf8")]),
  );
const versions = () =>
  Object.fromEntries(
    readdirSync(metadata).map((name) => {
      const { signed } = JSON.parse(readFileSync(join(metadata, name), "utf8")) as { signed: { version: number } };
      return [name, signed.version];
    }),
  );
/** One publisher for everything, who vouches for these. */
async function vouch(...list: readonly ReleaseTarget[]): Promise<void> {
  let document = createTargets({ version: 1, expiresAtMs: farMs });
  for (const target of list) document = addRelease(document, target, farMs);
  const { root, publisher } = site.trust;
  const delegation = { role: "publisher", keys: [publisher.key], threshold: 1, models: ["*"] };
  const delegating = addDelegation(createTargets({ version: 1, expiresAtMs: farMs }), delegation, farMs);
  await site.bind([await toFile("targets", delegating, [root]), await toFile("publisher", document, [publisher])], 2);
}

describe("the client of the conformance suite", () => {
  it("begins with the root that it is given, and keeps what a refresh verified", async () => {
    expect(await init()).toMatchObject({ code: 0 });
    expect(readFileSync(join(metadata, "root.json"), "utf8")).toBe(await site.trust.firstRoot());
    expect(site.asked).toEqual([]);
    expect(await refresh()).toMatchObject({ code: 0 });
    expect(versions()).toMatchObject({ "root.json": 1, "timestamp.json": 1, "snapshot.json": 1, "targets.json": 1 });
  });

  it("downloads two targets in their order with one updater, and the second run fetches no target again", async () => {
    const [first, second] = [addTarget("reader/1.0.0/a.json", "one"), addTarget("reader/1.0.0/b.json", "two")];
    await vouch(first, second);
    await init();
    expect(await download(first.path, second.path)).toMatchObject({ code: 0 });
    expect(kept()).toEqual({ [first.path]: "one", [second.path]: "two" });
    const files = () => site.asked.filter((name) => name.startsWith("files/"));
    expect(files().map((name) => name.replace(/[0-9a-f]{64}\./u, ""))).toEqual([
      `files/${first.path}`,
      `files/${second.path}`,
    ]);
    expect(site.asked.filter((name) => name === "timestamp.json")).toHaveLength(1);
    expect(await download(first.path, second.path)).toMatchObject({ code: 0 });
    expect(files()).toHaveLength(2);
    // What lies there is judged by its digest, not by its name.
    writeFileSync(join(targets, encodeURIComponent(second.path)), "TWO");
    expect(await download(second.path)).toMatchObject({ code: 0 });
    expect(kept()[second.path]).toBe("two");
    expect(files()).toHaveLength(3);
  });

  it("keeps the first target when nobody vouches for the second, and says so by its exit code", async () => {
    const first = addTarget("reader/1.0.0/a.json", "one");
    await vouch(first);
    await init();
    const answer = await download(first.path, "reader/1.0.0/none.json");
    expect(answer).toMatchObject({ code: 1, output: expect.stringContaining("nobody vouches") });
    expect(kept()).toEqual({ [first.path]: "one" });
  });

  it("A5 takes no target of other bytes than those that were vouched for, and leaves no part of it", async () => {
    const first = addTarget("reader/1.0.0/a.json", "one");
    await vouch(first);
    for (const name of served.keys()) served.set(name, "ONE");
    await init();
    expect(await download(first.path)).toMatchObject({ code: 1 });
    expect(kept()).toEqual({});
  });

  it("asks only those publishers who may speak for a path, in the order of the targets document", async () => {
    const path = "vision-a/1.0.0/a.json";
    const [mine, theirs] = [addTarget(path, "of the vision team"), addTarget(path, "of somebody else")];
    const [vision, other] = [createSigner(), createSigner()];
    const add = (role: string, key: typeof vision.key, models: readonly string[]) => ({
      ...{ role, keys: [key], threshold: 1, models },
    });
    let delegating = createTargets({ version: 1, expiresAtMs: farMs });
    delegating = addDelegation(delegating, add("audio", other.key, ["audio-*"]), farMs);
    delegating = addDelegation(delegating, add("vision", vision.key, ["vision-*"]), farMs);
    delegating = addDelegation(delegating, add("late", other.key, ["*"]), farMs);
    const vouching = (target: ReleaseTarget) =>
      addRelease(createTargets({ version: 1, expiresAtMs: farMs }), target, farMs);
    const files = [
      await toFile("targets", delegating, [site.trust.root]),
      await toFile("audio", vouching(theirs), [other]),
      await toFile("vision", vouching(mine), [vision]),
      await toFile("late", vouching(theirs), [other]),
    ];
    await site.bind(files, 2);
    await init();
    expect(await download(path)).toMatchObject({ code: 0 });
    expect(kept()).toEqual({ [path]: "of the vision team" });
    expect(site.asked.some((name) => /\.(?:audio|late)\.json$/u.test(name))).toBe(false);
    // The same document by a key that may not speak for the role.
    await site.bind([...files.slice(0, 2), await toFile("vision", vouching(mine), [other])], 3);
    expect(await download(path)).toMatchObject({ code: 1 });
  });

  it.each([
    ["an older timestamp", /CodedError: .*version/iu, () => site.bind([], 4)],
    ["an ended one", /CodedError: .*expired/u, () => site.bind([], 6, { timestampExpiresAtMs: Date.now() - 1_000 })],
    [
      "one that nobody signed who may",
      /CodedError: .*signed by 0\/1 keys/u,
      () => site.bind([], 6, { online: createSigner() }),
    ],
  ])("A1 A2 A10 refuses %s and keeps what it has", async (_, reason, offer) => {
    await site.bind([await site.served("targets"), await site.served("publisher")], 5);
    await init();
    expect(await refresh()).toMatchObject({ code: 0 });
    const before = versions();
    await offer();
    expect(await refresh()).toMatchObject({ code: 1 });
    expect(versions()["snapshot.json"]).toBe(before["snapshot.json"]);
    expect((await refresh()).output).toMatch(reason);
  });

  it("answers a command that it does not know, and a missing option, with its exit code", async () => {
    await init();
    expect(await run(...own(), "explode")).toMatchObject({ code: 1 });
    expect(await run("--metadata-dir", metadata, "refresh")).toMatchObject({ code: 1 });
    expect(await run(...own(), "--target-base-url", site.url, "--target-dir", targets, "download")).toMatchObject({
      code: 1,
    });
  });
});
