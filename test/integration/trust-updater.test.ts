import {
  addDelegation,
  createRoot,
  createTargets,
  signMetadata,
  toMetadataText,
  toTufKey,
  type TufSigner,
} from "@fairlead/artifacts/tuf";
import { initializeTrust } from "@fairlead/updater";
import { Key, Targets } from "@tufjs/models";
import { generateKeyPairSync, sign } from "node:crypto";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { farMs, toFile, TrustSite } from "../support/trust-site.ts";
import { createSigner } from "../support/trust.ts";

let site: TrustSite;
beforeEach(async () => void (site = await TrustSite.start()));
afterEach(() => site[Symbol.asyncDispose]());

/** A key that is listed as PEM. */
function createEcSigner(): TufSigner {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const key = toTufKey(publicKey.export({ type: "spki", format: "pem" }).toString());
  return { key, sign: async (bytes) => sign("sha256", bytes, privateKey) };
}

/** The version of each document that the device trusts. */
const versions = () =>
  Object.fromEntries(
    Object.entries(site.kept()).map(([name, text]) => [
      name,
      (JSON.parse(text) as { signed: { version: number } }).signed.version,
    ]),
  );

describe("the updater", () => {
  it("A1 takes no older documents, signed as they are, and keeps what it has", async () => {
    const first = await site.trust.serve();
    expect(await site.refresh()).toBe("taken");
    site.trust.renew();
    expect(await site.refresh()).toBe("taken");
    const before = site.kept();
    for (const [name, text] of first) site.trust.forged.set(name, text);
    expect(await site.refresh()).toBe("metadata_rollback");
    expect(site.kept()).toEqual(before);
  });

  it("A1 takes no older timestamp that points at what it has", async () => {
    const own = [await site.served("targets"), await site.served("publisher")];
    await site.bind(own, 5);
    expect(await site.refresh()).toBe("taken");
    const before = site.kept();
    await site.bind(own, 4, { snapshotVersion: 5 });
    expect(await site.refresh()).toBe("metadata_rollback");
    expect(site.kept()).toEqual(before);
  });

  it.each(["snapshot", "targets", "publisher"] as const)(
    "A1 takes no older %s under a new timestamp, whoever holds the online key, and follows the next honest day",
    async (role) => {
      const old = { targets: await site.served("targets"), publisher: await site.served("publisher") };
      for (let day = 0; day < 2; day += 1) {
        site.trust.renew();
        await site.trust.serve();
      }
      const own = [await site.served("targets"), await site.served("publisher")];
      await site.bind(own, 5);
      expect(await site.find("model/1.0.0/x.json")).toBe("taken");
      const before = versions();
      expect(before).toMatchObject({ "snapshot.json": 5, "targets.json": 3, "publisher.json": 3 });
      const older = own.map((file) => (file.role === role && role !== "snapshot" ? old[role] : file));
      await site.bind(older, 6, role === "snapshot" ? { snapshotVersion: 4 } : {});
      expect(await site.find("model/1.0.0/x.json")).toBe("metadata_rollback");
      // The timestamp by itself is no older one; what it points at is, and that stays where it was.
      const { "timestamp.json": _, ...documents } = versions();
      expect(documents).toEqual({ ...documents, ...{ "snapshot.json": 5, "targets.json": 3, "publisher.json": 3 } });
      await site.bind(own, 7);
      expect(await site.find("model/1.0.0/x.json")).toBe("taken");
    },
  );

  it("A2 takes nothing when the statement of freshness has ended, also by a clock that was set back", async () => {
    site.trust.timestampLifeMs = -1_000;
    expect(await site.refresh()).toBe("metadata_expired");
    site.trust.timestampLifeMs = 60_000;
    site.trust.renew();
    expect(await site.refresh({ nowMs: Date.now() + 120_000 })).toBe("metadata_expired");
    expect(await site.refresh()).toBe("taken");
  });

  it.each(
    (["root", "snapshot", "targets", "publisher"] as const).flatMap((role) => [
      { role, by: "the system's clock", endMs: -2_000, floorMs: 0 },
      // An hour is left by the system's clock, which was set back.
      { role, by: "the floor under a clock that was set back", endMs: 3_600_000, floorMs: 7_200_000 },
    ]),
  )("A2 takes nothing when the document of $role has ended by $by", async ({ role, endMs, floorMs }) => {
    const { root, publisher, online, forged } = site.trust;
    const nowMs = Date.now();
    const until = (own: string) => (own === role ? nowMs + endMs : farMs);
    const first = createTargets({ version: 1, expiresAtMs: until("targets") });
    const delegation = { role: "publisher", keys: [publisher.key], threshold: 1, models: ["*"] };
    const targets = await toFile("targets", addDelegation(first, delegation, until("targets")), [root]);
    const own = createTargets({ version: 2, expiresAtMs: until("publisher") });
    const ends = { expiresAtMs: until("snapshot"), timestampExpiresAtMs: farMs };
    await site.bind([targets, await toFile("publisher", own, [publisher])], 9, ends);
    if (role === "root") {
      const offline = { keys: [root.key], threshold: 1 };
      const plane = { keys: [online.key], threshold: 1 };
      const spec = { root: offline, targets: offline, snapshot: plane, timestamp: plane };
      const next = createRoot(spec, { version: 2, expiresAtMs: until("root") });
      forged.set("2.root.json", toMetadataText(await signMetadata(next, [root])));
    }
    expect(await site.find("model/1.0.0/x.json", { nowMs: nowMs + floorMs })).toBe("metadata_expired");
    // It was nothing but the time: before its end the same documents are taken.
    if (endMs > 0) expect(await site.find("model/1.0.0/x.json")).toBe("taken");
  });

  it("A3 follows no root that only new keys, only old keys or one key twice signed, and follows one that both signed", async () => {
    const next = createSigner();
    const { root: old, forged } = site.trust;
    const own = { keys: [next.key], threshold: 1 };
    const online = { keys: [site.trust.online.key], threshold: 1 };
    const later = { version: 2, expiresAtMs: farMs };
    const root = () => createRoot({ root: own, targets: own, snapshot: online, timestamp: online }, later);
    const offer = (text: string) => forged.set("2.root.json", text);
    const begun = site.kept();
    for (const signers of [[next], [old]]) {
      offer(toMetadataText(await signMetadata(root(), signers)));
      expect(await site.refresh()).toBe("metadata_refused");
    }
    const twice = { keys: [old.key, next.key], threshold: 2 };
    const both = createRoot({ root: twice, targets: own, snapshot: online, timestamp: online }, later);
    // Threshold two, met by the same key twice under one name; under two names it is below.
    const text = toMetadataText(await signMetadata(both, [old]));
    const { signatures } = JSON.parse(text) as { signatures: unknown[] };
    offer(text.replace(/"signatures": \[[^\]]*\]/u, `"signatures": ${JSON.stringify([...signatures, ...signatures])}`));
    expect(await site.refresh()).toBe("metadata_refused");
    expect(site.kept()).toEqual(begun);
    offer(toMetadataText(await signMetadata(both, [old, next])));
    expect(await site.refresh()).not.toBe("taken");
    // That root is followed; its targets are another key's, so the old targets count no more.
    expect(versions()).toMatchObject({ "root.json": 2 });
  });

  describe("A3 counts one key once, under whatever second name and in whatever other form it is listed", () => {
    const point = createEcSigner();
    const plain = createSigner();
    const valueOf = ({ key }: TufSigner) => key.keyVal["public"] ?? "";
    it.each<readonly [string, TufSigner, Readonly<Record<string, string>>]>([
      ["the same text", plain, { public: valueOf(plain) }],
      ["upper-case digits", plain, { public: valueOf(plain).toUpperCase() }],
      ["another member", plain, { public: valueOf(plain), note: "x" }],
      ["PEM with other line breaks", point, { public: valueOf(point).replaceAll(/\n(?!-)/gu, "\n\n") }],
      ["PEM with the line ends of another system", point, { public: valueOf(point).replaceAll("\n", "\r\n") }],
    ])("%s: in a newer root, and in the one that was pinned", async (_form, signer, keyVal) => {
      const { root: old, online, forged } = site.trust;
      const { keyType, scheme } = signer.key;
      const toSignature = (bytes: Uint8Array) => signer.sign(bytes);
      const twin = { key: new Key({ keyID: "f".repeat(64), keyType, scheme, keyVal }), sign: toSignature };
      const twice = { keys: [signer.key, twin.key], threshold: 2 };
      const plane = { keys: [online.key], threshold: 1 };
      const spec = { root: twice, targets: { keys: [old.key], threshold: 1 }, snapshot: plane, timestamp: plane };
      const toRoot = async (version: number) =>
        toMetadataText(await signMetadata(createRoot(spec, { version, expiresAtMs: farMs }), [old, signer, twin]));
      const begun = site.kept();
      forged.set("2.root.json", await toRoot(2));
      expect(await site.refresh()).toBe("metadata_refused");
      expect(site.kept()).toEqual(begun);
      forged.delete("2.root.json");
      await initializeTrust(join(site.folder, "trust"), Buffer.from(await toRoot(1)));
      expect(await site.refresh()).toBe("root_invalid");
    });
  });

  it("A4 mixes no documents of two days, and takes the day as it is", async () => {
    const dayOne = await site.trust.serve();
    site.trust.renew();
    const dayTwo = await site.trust.serve();
    for (const role of ["snapshot", "targets", "publisher"]) {
      site.trust.forged.set(`2.${role}.json`, dayOne.get(`1.${role}.json`) ?? "missing");
      // What does not have the digest that the newer document names is refused before its version is asked for.
      expect(await site.find("model/1.0.0/x.json"), role).toMatch(/^metadata_(?:refused|rollback)$/u);
      expect(Object.values(versions()).every((version) => version <= 2)).toBe(true);
      site.trust.forged.set(`2.${role}.json`, dayTwo.get(`2.${role}.json`) ?? "missing");
    }
    expect(await site.find("model/1.0.0/x.json")).toBe("taken");
    expect(versions()).toMatchObject({ "snapshot.json": 2, "targets.json": 2, "publisher.json": 2 });
  });

  it("A4 takes no other document of the same version than the one that the snapshot names", async () => {
    const own = [await site.served("targets"), await site.served("publisher")];
    await site.bind(own, 5);
    // Signed by the publisher as well, on another day, under the same number.
    const other = await toFile("publisher", createTargets({ version: 1, expiresAtMs: farMs }), [site.trust.publisher]);
    site.trust.forged.set("1.publisher.json", other.text);
    expect(await site.find("model/1.0.0/x.json")).toBe("metadata_refused");
    await site.bind(own, 6);
    const snapshot = site.trust.forged.get("6.snapshot.json") ?? "";
    // And no other snapshot of that version, though the plane's own key signed both.
    await site.bind([own[0] ?? other, other], 6);
    site.trust.forged.set("6.snapshot.json", snapshot);
    expect(await site.refresh()).toBe("metadata_refused");
    await site.bind(own, 7);
    expect(await site.find("model/1.0.0/x.json")).toBe("taken");
  });

  it("A9 asks a bounded number of publishers, and puts no name of one into a path", async () => {
    let targets = createTargets({ version: 1, expiresAtMs: farMs });
    const { publisher } = site.trust;
    targets = addDelegation(targets, { role: "one", keys: [publisher.key], threshold: 1, models: ["*"] }, farMs);
    const json = targets.toJSON() as { delegations: { roles: Record<string, unknown>[] }; version: number };
    const [role] = json.delegations.roles;
    json.delegations.roles = Array.from({ length: 40 }, (_, index) => ({
      ...role,
      terminating: false,
      name: index === 0 ? "../root" : `many-${index}`,
    }));
    json.version = 9;
    const own = createTargets({ version: 9, expiresAtMs: farMs });
    const delegated = toMetadataText(await signMetadata(own, [publisher]));
    await site.trust.replaceTargets(Targets.fromJSON(json as never), delegated);
    expect(await site.find("model/1.0.0/x.json")).toBe("taken");
    expect(site.asked.length).toBeLessThan(40);
    expect(site.asked.filter((name) => name.includes("many-")).length).toBeGreaterThan(30);
    expect(site.asked.some((name) => name.includes("../"))).toBe(false);
    expect(site.asked.some((name) => name.includes("..%2Froot"))).toBe(true);
    expect(Object.keys(site.kept())).toContain("..%2Froot.json");
    expect(JSON.parse(site.kept()["root.json"] ?? "")).toMatchObject({ signed: { _type: "root" } });
  });

  it("A9 goes round a circle of publishers once", async () => {
    const { publisher, root } = site.trust;
    const names = ["first", "second", "third"];
    const to = (role: string, version: number) =>
      addDelegation(
        createTargets({ version: version - 1, expiresAtMs: farMs }),
        { role, keys: [publisher.key], threshold: 1, models: ["*"] },
        farMs,
      );
    const circle = names.map((role, at) => toFile(role, to(names[(at + 1) % names.length] ?? "", 9), [publisher]));
    await site.bind([await toFile("targets", to("first", 9), [root]), ...(await Promise.all(circle))], 9);
    expect(await site.withUpdater((updater) => updater.findTarget("model/1.0.0/x.json"))).toBeUndefined();
    for (const name of names) expect(site.asked.filter((asked) => asked === `9.${name}.json`)).toHaveLength(1);
  });

  it("A9 refuses ten thousand publishers in a moment", async () => {
    const first = createTargets({ version: 8, expiresAtMs: farMs });
    const keys = [site.trust.publisher.key];
    const json = addDelegation(first, { role: "one", keys, threshold: 1, models: ["*"] }, farMs).toJSON() as {
      delegations: { roles: Record<string, unknown>[] };
    };
    const [role] = json.delegations.roles;
    json.delegations.roles = Array.from({ length: 10_000 }, (_, index) => ({ ...role, name: `many-${index}` }));
    const { root } = site.trust;
    // Signed as it is: the library's own writer would take most of a minute to copy so many.
    const text = JSON.stringify({ signed: json, signatures: [{ keyid: root.key.keyID, sig: "00".repeat(64) }] });
    await site.bind([{ role: "targets", version: 9, text }], 9);
    const begunMs = performance.now();
    expect(await site.find("model/1.0.0/x.json")).toBe("metadata_refused");
    expect(performance.now() - begunMs).toBeLessThan(2_000);
  });

  it("keeps what it verified when it is killed between two documents, and goes on from there", async () => {
    expect(await site.refresh()).toBe("taken");
    const before = Object.keys(site.kept()).toSorted();
    site.trust.renew();
    site.answer = (name, response) => /snapshot/u.test(name) && (response.destroy(), true);
    expect(await site.refresh()).toBe("metadata_unreachable");
    site.answer = undefined;
    expect(Object.keys(site.kept()).toSorted()).toEqual(before);
    expect(await site.refresh()).toBe("taken");
  });
});
