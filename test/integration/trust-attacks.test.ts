import {
  addDelegation,
  addRelease,
  createRoot,
  createTargets,
  signMetadata,
  toMetadataText,
} from "@fairlead/artifacts/tuf";
import { initializeTrust } from "@fairlead/updater";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { farMs, toFile, TrustSite } from "../support/trust-site.ts";
import { createSigner } from "../support/trust.ts";

/*
 * The attacks that the specification of The Update Framework names (its §1.5.2, and the security page of its project), on
 * the agent's own updater; rollback, freeze, mix-and-match, endless data and slow retrieval stand in the files beside this one.
 */

let site: TrustSite;
beforeEach(async () => void (site = await TrustSite.start()));
afterEach(() => site[Symbol.asyncDispose]());

const target = { path: "reader/1.0.0/rel-x.json", lengthBytes: 2, sha256: "44".repeat(32) };
const life = { version: 1, expiresAtMs: farMs };
/** A publisher's document, one version on, that vouches for the target. */
const vouching = () => addRelease(createTargets(life), target, farMs);

interface Publisher {
  readonly keys: readonly { readonly key: Parameters<typeof addDelegation>[1]["keys"][number] }[];
  readonly threshold?: number;
  readonly models?: readonly string[];
}
const toTargets = async ({ keys, threshold = 1, models = ["*"] }: Publisher) => {
  const delegation = { role: "publisher", keys: keys.map(({ key }) => key), threshold, models };
  return await toFile("targets", addDelegation(createTargets(life), delegation, farMs), [site.trust.root]);
};
const find = () => site.withUpdater((updater) => updater.findTarget(target.path));

/** The root's second version, signed by the root's key. @returns the plane's key from then on */
async function nameAnotherOnlineKey() {
  const { root } = site.trust;
  const online = createSigner();
  const offline = { keys: [root.key], threshold: 1 };
  const plane = { keys: [online.key], threshold: 1 };
  const spec = { root: offline, targets: offline, snapshot: plane, timestamp: plane };
  const next = createRoot(spec, { version: 2, expiresAtMs: farMs });
  site.trust.forged.set("2.root.json", toMetadataText(await signMetadata(next, [root])));
  return online;
}

describe("arbitrary installation: who holds the plane's key alone", () => {
  it("A10 has nothing taken: a publisher's document signed by that key, by nobody, or by a device", async () => {
    const { online, publisher } = site.trust;
    const targets = await toTargets({ keys: [publisher] });
    let version = 1;
    for (const signers of [[online], [], [createSigner()]]) {
      version += 1;
      await site.bind([targets, await toFile("publisher", vouching(), signers)], version);
      expect(await site.find(target.path)).toBe("metadata_refused");
    }
    await site.bind([targets, await toFile("publisher", vouching(), [publisher])], version + 1);
    expect(await find()).toMatchObject({ path: target.path, hashes: { sha256: target.sha256 } });
  });

  it("A10 appoints no publisher of its own", async () => {
    const own = createSigner();
    const delegation = { role: "publisher", keys: [own.key], threshold: 1, models: ["*"] };
    const appointed = addDelegation(createTargets(life), delegation, farMs);
    const targets = await toFile("targets", appointed, [site.trust.online]);
    await site.bind([targets, await toFile("publisher", vouching(), [own])], 2);
    expect(await site.find(target.path)).toBe("metadata_refused");
    expect(Object.keys(site.kept())).not.toContain("targets.json");
  });
});

describe("keys that are stolen", () => {
  it("A10 are no threshold: one of two is not enough, nor is one of them twice", async () => {
    const { publisher } = site.trust;
    const second = createSigner();
    const targets = await toTargets({ keys: [publisher, second], threshold: 2 });
    await site.bind([targets, await toFile("publisher", vouching(), [publisher])], 2);
    expect(await site.find(target.path)).toBe("metadata_refused");
    const text = toMetadataText(await signMetadata(vouching(), [publisher]));
    const { signatures } = JSON.parse(text) as { signatures: unknown[] };
    const twice = JSON.stringify({ ...JSON.parse(text), signatures: [...signatures, ...signatures] });
    await site.bind([targets, { role: "publisher", version: 2, text: twice }], 3);
    expect(await site.find(target.path)).toBe("metadata_refused");
    await site.bind([targets, await toFile("publisher", vouching(), [publisher, second])], 4);
    expect(await find()).toMatchObject({ path: target.path });
  });

  it("A10 say nothing any more once the publisher was revoked, also for a document that the device has kept", async () => {
    const { publisher } = site.trust;
    const file = await toFile("publisher", vouching(), [publisher]);
    await site.bind([await toTargets({ keys: [publisher] }), file], 2);
    expect(await find()).toMatchObject({ path: target.path });
    const next = createSigner();
    const delegation = { role: "publisher", keys: [next.key], threshold: 1, models: ["*"] };
    const appointed = addDelegation(createTargets({ ...life, version: 2 }), delegation, farMs);
    await site.bind([await toFile("targets", appointed, [site.trust.root]), file], 3);
    expect(await site.find(target.path)).toBe("metadata_refused");
    // With nobody in its place there is nobody who vouches.
    const nobody = await toFile("targets", createTargets({ ...life, version: 4 }), [site.trust.root]);
    await site.bind([nobody, file], 4);
    expect(await find()).toBeUndefined();
  });
});

describe("fast-forward: versions as high as they go, by who stole the plane's key", () => {
  it("A1 is undone by a root that names another key", async () => {
    const { publisher } = site.trust;
    const targets = await toTargets({ keys: [publisher] });
    const own = [targets, await toFile("publisher", vouching(), [publisher])];
    await site.bind(own, Number.MAX_SAFE_INTEGER);
    expect(await site.refresh()).toBe("taken");
    // The true repository is now older than what the device saw.
    await site.bind(own, 3);
    expect(await site.refresh()).toBe("metadata_rollback");
    const online = await nameAnotherOnlineKey();
    await site.bind(own, 3, { online });
    expect(await find()).toMatchObject({ path: target.path });
    // And what the thief signs counts no more.
    await site.bind(own, Number.MAX_SAFE_INTEGER);
    expect(await site.refresh()).toBe("metadata_refused");
  });
});

describe("freeze: nothing new, by who stole the plane's key", () => {
  it("A2 lasts as long as the thief signs, past every end of what was signed before, and is undone by a root that names another key", async () => {
    const { publisher } = site.trust;
    const targets = await toTargets({ keys: [publisher] });
    const old = [targets, await toFile("publisher", createTargets(life), [publisher])];
    const news = [targets, await toFile("publisher", vouching(), [publisher])];
    const dayMs = 86_400_000;
    const nowMs = Date.now();
    // Each statement ends after four days, as the plane's own do; for a year there is always another one.
    for (let day = 0; day < 365; day += 73) {
      const ends = { expiresAtMs: nowMs + (day + 30) * dayMs, timestampExpiresAtMs: nowMs + (day + 4) * dayMs };
      await site.bind(old, 2 + day, ends);
      const ask = { nowMs: nowMs + (day + 3) * dayMs };
      expect(await site.refresh(ask)).toBe("taken");
      expect(await site.withUpdater((updater) => updater.findTarget(target.path), ask)).toBeUndefined();
    }
    const online = await nameAnotherOnlineKey();
    await site.bind(news, 3, { online });
    expect(await find()).toMatchObject({ path: target.path });
    await site.bind(old, 1_000);
    expect(await site.refresh()).toBe("metadata_refused");
  });
});

describe("extraneous dependencies: more than what was asked for", () => {
  it("A5 is not even fetched when nobody who was asked named it", async () => {
    const { publisher } = site.trust;
    const more = await toFile("stranger", vouching(), [createSigner()]);
    const own = await toFile("publisher", createTargets(life), [publisher]);
    await site.bind([await toTargets({ keys: [publisher] }), own, more], 2);
    expect(await find()).toBeUndefined();
    expect(site.asked.some((name) => name.includes("stranger"))).toBe(false);
  });

  it("A5 is not taken from a publisher who vouches for models of others", async () => {
    const { publisher } = site.trust;
    const file = await toFile("publisher", vouching(), [publisher]);
    await site.bind([await toTargets({ keys: [publisher], models: ["vision-*"] }), file], 2);
    expect(await find()).toBeUndefined();
    await site.bind([await toTargets({ keys: [publisher], models: ["read*"] }), file], 3);
    expect(await site.find(target.path)).toBe("taken");
  });
});

describe("a first root that nobody signed", () => {
  it("A3 is not begun with: unsigned, signed by others, or no root at all", async () => {
    const folder = join(site.folder, "trust");
    const first = await site.trust.firstRoot();
    const parsed = JSON.parse(first) as { signed: object };
    const strangers = JSON.stringify({
      ...parsed,
      signatures: [{ keyid: site.trust.root.key.keyID, sig: "00".repeat(64) }],
    });
    for (const text of [JSON.stringify({ ...parsed, signatures: [] }), strangers, "{}", ""]) {
      await initializeTrust(folder, Buffer.from(text));
      expect(await site.refresh()).toBe("root_invalid");
      expect(site.asked).toEqual([]);
    }
    await initializeTrust(folder, Buffer.from(first));
    expect(await site.refresh()).toBe("taken");
  });
});
