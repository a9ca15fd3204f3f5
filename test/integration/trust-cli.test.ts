import type { SignedRelease, TrustState } from "@fairlead/protocol";
import { generateKeyPairSync } from "node:crypto";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { toAnotherId } from "../support/another-id.ts";
import { runWarmCli, type CliAnswer } from "../support/cli.ts";
import { TestPlane } from "../support/plane.ts";
import { publishDigitReader } from "../support/publish.ts";

const dir = mkdtempSync(join(tmpdir(), "trust-cli-"));
const plane = new TestPlane({ dir });
const cli = (...args: string[]): Promise<CliAnswer> => runWarmCli(args, plane.cliEnv);
const done = async (...args: string[]): Promise<string> => {
  const answer = await cli(...args);
  if (answer.code !== 0) throw new Error(`${args.join(" ")}: ${answer.stderr}`);
  return answer.stdout;
};
const releases = async () =>
  (await plane.get<{ items: SignedRelease[] }>("/api/v1/releases?limit=1000")).items.map(({ signed }) => signed);
const state = () => plane.get<TrustState>("/api/v1/trust");
const sign = (...more: string[]) => cli("releases", "sign", "digit-reader", "1.0.0", ...more);

beforeAll(async () => {
  await plane.start();
  await publishDigitReader(plane, "1.0.0");
}, 60_000);
afterAll(async () => {
  await plane[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

describe("the repository", () => {
  it("is signed with keys that the plane never sees, in sealed files that only their owner reads", async () => {
    const key = join(plane.trustDir, "keys", "publisher.key");
    expect(statSync(key).mode & 0o777).toBe(0o600);
    expect(readFileSync(key, "utf8")).not.toMatch(/PRIVATE KEY/u);
    const wrong = await runWarmCli(["releases", "sign", "digit-reader", "1.0.0"], {
      ...plane.cliEnv,
      FAIRLEAD_KEY_PASSPHRASE: "something else altogether",
    });
    expect(wrong).toMatchObject({ code: 4, stderr: expect.stringContaining("passphrase does not open") });
    expect(await cli("trust", "view")).toMatchObject({ code: 0, stdout: expect.stringMatching(/root +1 +2 of 3/u) });
  });

  it("shows what a device would say of a release", async () => {
    const [first] = await releases();
    expect(await cli("releases", "verify", first?.releaseId ?? "")).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("signed by a publisher"),
    });
  });

  it("A10 refuses what the administrator alone says: documents by nobody's key, releases by no publisher", async () => {
    const [first] = await releases();
    const post = (body: unknown) => plane.post("/api/v1/trust/publications", body);
    const invented = { ...first, releaseId: toAnotherId(first?.releaseId ?? "") };
    expect(await post({ documents: {}, releases: [invented] })).toMatchObject({
      status: 422,
      code: "metadata_refused",
    });
    const own = await done("trust", "view", "-o", "json");
    expect(own).toContain("publisher");
    const forged = readFileSync(join(plane.trustDir, "metadata", "1.publisher.json"), "utf8");
    const next = forged.replace('"version": 1', '"version": 2');
    expect(await post({ documents: { "2.publisher.json": next } })).toMatchObject({
      status: 422,
      code: "metadata_refused",
    });
    expect(await post({ documents: { "9.timestamp.json": forged } })).toMatchObject({ status: 422 });
    expect(await post({ documents: { "../x.json": forged } })).toMatchObject({ status: 422 });
  });

  it("A1 takes no document of a version that was left behind, also when its own copy is gone", async () => {
    await done("releases", "sign", "digit-reader", "1.0.0");
    const old = readFileSync(join(plane.trustDir, "metadata", "1.publisher.json"), "utf8");
    // Eighteen publications later no snapshot names the first one any more.
    for (let count = 0; count < 18; count += 1)
      expect(await plane.post("/api/v1/trust/publications", { documents: {} })).toMatchObject({ status: 201 });
    await expect(plane.get("/api/v1/trust/metadata/1.publisher.json")).rejects.toThrow(/not_found|404/u);
    expect(await plane.get("/api/v1/trust/metadata/1.root.json")).toBeDefined();
    expect(await plane.post("/api/v1/trust/publications", { documents: { "1.publisher.json": old } })).toMatchObject({
      status: 409,
      code: "metadata_conflict",
    });
  });

  it("signs from when to when and for what a release is, and shows it", async () => {
    const terms = ["--not-before", "2099-01-01", "--expires", "2099-02-01", "--min-firmware", "os.kernel=6.1"];
    expect(await sign(...terms, "--for-fleet", "north")).toMatchObject({ code: 0 });
    const signed = (await releases()).at(-1);
    expect(signed).toMatchObject({
      notBeforeMs: Date.parse("2099-01-01T00:00:00Z"),
      expiresAtMs: Date.parse("2099-02-01T00:00:00Z"),
      audience: { fleets: ["north"], firmware: { "os.kernel": "6.1" } },
    });
    const { stdout } = await cli("releases", "verify", signed?.releaseId ?? "");
    expect(stdout).toContain("from 2099-01-01T00:00:00.000Z to 2099-02-01T00:00:00.000Z");
    expect(stdout).toMatch(/fleets: north[^]*os\.kernel 6\.1 or newer[^]*sha256:[0-9a-f]{64} \d+ bytes/u);
    expect(await sign("--not-before", "2099-01-01", "--ttl", "1d")).toMatchObject({ code: 2 });
    expect(await sign("--expires", "2099-01-01", "--ttl", "1d")).toMatchObject({ code: 2 });
    expect(await sign("--min-firmware", "os.kernel")).toMatchObject({ code: 2 });
  });

  it("leaves the publisher's folder as it was when the plane refuses a publication", async () => {
    const listed = () => ["metadata", "releases"].map((folder) => readdirSync(join(plane.trustDir, folder)).toSorted());
    const before = listed();
    // Of another tenant: the plane takes no such release.
    expect(await sign("--tenant", "globex")).toMatchObject({ stderr: expect.stringContaining("globex") });
    expect(listed()).toEqual(before);
    expect(await cli("releases", "publish")).toMatchObject({ code: 0 });
    const offline = { ...plane.cliEnv, FAIRLEAD_TOKEN: "fla_nobody" };
    await runWarmCli(["releases", "sign", "digit-reader", "1.0.0"], offline);
    expect(listed()).toEqual(before);
  });

  it("changes a publisher's key, and what the old key says counts no more", async () => {
    await done("keys", "generate", "publisher-2");
    await done("keys", "rotate", "publisher", "--add", "publisher-2", "--remove", "publisher");
    await done("releases", "publish");
    expect(await sign()).toMatchObject({ code: 0 });
    const [first] = await releases();
    expect(await cli("releases", "verify", first?.releaseId ?? "")).toMatchObject({ code: 0 });
    rmSync(join(plane.trustDir, "keys", "publisher-2.key"));
    expect(await sign()).toMatchObject({ code: 4, stderr: expect.stringContaining("0 of its keys") });
  });

  it("gives a team only the models of its names", async () => {
    await done("keys", "generate", "vision-key", "reader-key");
    await done("trust", "delegate", "vision", "--key", "vision-key", "--models", "vision-*");
    await done("trust", "delegate", "readers", "--key", "reader-key", "--models", "digit-*");
    await done("releases", "publish");
    const before = (await releases()).length;
    expect(await sign("--as", "vision")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("may release vision-*"),
    });
    expect(await releases()).toHaveLength(before);
    expect(await sign("--as", "readers")).toMatchObject({ code: 0 });
  });

  it("signs with a key that a command keeps", async () => {
    const { privateKey, publicKey } = generateKeyPairSync("ed25519");
    const pem = join(dir, "token.pem");
    writeFileSync(pem, privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
    writeFileSync(join(dir, "token.pub"), publicKey.export({ type: "spki", format: "pem" }));
    const signer = join(dir, "signer.mjs");
    writeFileSync(
      signer,
      `import { createPrivateKey, sign } from "node:crypto"; import { readFileSync } from "node:fs";
process.stdout.write(sign(null, readFileSync(0), createPrivateKey(readFileSync(process.argv[2]))));`,
    );
    chmodSync(signer, 0o700);
    const args = [process.execPath, signer, pem].flatMap((text) => ["--arg", text]);
    await done("keys", "add", "token", "--public-key", join(dir, "token.pub"), ...args);
    await done("trust", "delegate", "tokens", "--key", "token", "--models", "digit-*");
    await done("releases", "publish");
    // The publishers before it may speak for the same model, and the first who is asked and knows the path answers.
    await done("trust", "revoke", "readers");
    await done("trust", "revoke", "publisher");
    await done("releases", "publish");
    expect(await sign("--as", "tokens")).toMatchObject({ code: 0 });
  });

  it("changes the key that appoints publishers, and the plane's own, without a gap for devices", async () => {
    const before = await state();
    await done("keys", "generate", "targets-2");
    await done("keys", "rotate", "targets", "--add", "targets-2", "--remove", "targets");
    await done("releases", "publish");
    await done("keys", "rotate", "online");
    await done("releases", "publish");
    const after = await state();
    expect(after.roles["root"]?.version).toBe((before.roles["root"]?.version ?? 0) + 3);
    expect(after.onlineKeys).toHaveLength(2);
    expect(after.problem).toBeNull();
    const last = (await releases()).at(-1);
    expect(await cli("releases", "verify", last?.releaseId ?? "")).toMatchObject({ code: 0 });
    await plane.process.kill();
    await plane.start();
    expect(await sign("--as", "tokens")).toMatchObject({ code: 0 });
  });

  it("changes root keys and the threshold only with enough of the old and the new ones", async () => {
    await done("keys", "generate", "root-4");
    await done("keys", "rotate", "root", "--add", "root-4", "--remove", "root-1", "--threshold", "3");
    await done("releases", "publish");
    expect((await state()).roles["root"]?.version).toBe(5);
    rmSync(join(plane.trustDir, "keys", "root-2.key"));
    expect(await cli("keys", "rotate", "root", "--threshold", "1")).toMatchObject({
      code: 4,
      stderr: expect.stringContaining("needs 3 signatures; 2 of"),
    });
  });

  it("ends a publisher: its releases are refused by whoever asks as a device", async () => {
    const last = (await releases()).at(-1);
    expect(await cli("releases", "verify", last?.releaseId ?? "")).toMatchObject({ code: 0 });
    await done("trust", "revoke", "tokens");
    await done("releases", "publish");
    expect(await cli("releases", "verify", last?.releaseId ?? "")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("no publisher vouches"),
    });
    expect(await sign("--as", "tokens")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("no publisher of this"),
    });
    expect(await cli("audit", "list", "--limit", "200")).toMatchObject({
      stdout: expect.stringContaining("trust.publish"),
    });
  });
});
