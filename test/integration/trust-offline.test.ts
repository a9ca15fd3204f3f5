import type { SignedRelease, TrustState } from "@fairlead/protocol";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli, type CliAnswer } from "../support/cli.ts";
import { digitModelPath } from "../support/digits.ts";
import { TestPlane } from "../support/plane.ts";

/*
 * A publisher's machine that reaches no plane, and another one without keys that does. What goes from one to the other are
 * files: the plane's online key and what is registered there, the signed folder back.
 */

const dir = mkdtempSync(join(tmpdir(), "trust-offline-"));
const plane = new TestPlane({ dir });
const [desk, carried] = [join(dir, "desk"), join(dir, "carried")];
const file = (name: string) => join(dir, name);
const secret = "correct horse battery staple";

/** The first reaches nobody at an address that it knows, the second one knows none. */
const refusing = {
  FAIRLEAD_SERVER: "https://127.0.0.1:2",
  FAIRLEAD_TOKEN: `fla_${"unused".repeat(4)}.${"0".repeat(64)}`,
};
const nowhere = { FAIRLEAD_SERVER: "", FAIRLEAD_TOKEN: "" };
const desktop = {
  FAIRLEAD_CONFIG: join(dir, "none", "config.yaml"),
  FAIRLEAD_TRUST: desk,
  FAIRLEAD_KEY_PASSPHRASE: secret,
};
let runs = 0;
const offline = (...args: string[]): Promise<CliAnswer> => {
  runs += 1;
  return runCli(args, { ...(runs % 2 === 0 ? refusing : nowhere), ...desktop });
};
const online = (...args: string[]) => runCli(args, { ...plane.cliEnv, FAIRLEAD_TRUST: carried });
const must = async (answer: Promise<CliAnswer>): Promise<string> => {
  const { code, stdout, stderr } = await answer;
  if (code !== 0) throw new Error(`exit ${code}: ${stderr}`);
  return stdout;
};
/** Without the keys. */
const carry = (from = desk) => {
  for (const folder of ["metadata", "releases"]) cpSync(join(from, folder), join(carried, folder), { recursive: true });
};
const sign = (publisher: string, ...more: string[]) =>
  offline(
    ...["releases", "sign", "digit-reader", "1.0.0", "--as", publisher, "--manifest", file("digits.json")],
    ...["--no-publish", "-o", "json", ...more],
  );
const toId = (stdout: string) => (JSON.parse(stdout) as { releaseId: string }[])[0]?.releaseId ?? "";
const verify = (id: string, ...more: string[]) => offline("releases", "verify", id, "--from", desk, ...more);
const state = () => plane.get<TrustState>("/api/v1/trust");
const published = async () =>
  (await plane.get<{ items: SignedRelease[] }>("/api/v1/releases")).items.map(({ signed }) => signed.releaseId);
let [kept, ended] = ["", ""];

beforeAll(async () => {
  // This plane's repository begins elsewhere.
  mkdirSync(plane.trustDir, { recursive: true });
  await plane.start();
  const model = digitModelPath("digit-reader-1.0.0-int8.onnx");
  await must(online("models", "push", model, "--model", "digit-reader", "--version", "1.0.0"));
  writeFileSync(file("online.pem"), await must(online("trust", "online-key")));
  writeFileSync(file("digits.json"), await must(online("models", "describe", "digit-reader", "1.0.0", "-o", "json")));
}, 60_000);
afterAll(async () => {
  await plane[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

describe("a machine that reaches no plane", () => {
  it("begins a repository, appoints teams, changes keys and thresholds, signs and revokes", async () => {
    await must(offline("keys", "generate", "r1", "r2", "r3", "appoints", "readers", "second", "former"));
    const roots = ["r1", "r2", "r3"].flatMap((name) => ["--root-key", name]);
    const rest = ["--threshold", "2", "--targets-key", "appoints", "--online-key", file("online.pem")];
    await must(offline("trust", "create", ...roots, ...rest));
    const team = ["--key", "readers", "--key", "second", "--threshold", "2"];
    await must(offline("trust", "delegate", "readers", ...team, "--models", "digit-*"));
    await must(offline("trust", "delegate", "former", "--key", "former", "--models", "*"));
    await must(offline("keys", "generate", "r4", "next"));
    await must(offline("keys", "rotate", "root", "--add", "r4", "--remove", "r1", "--threshold", "3"));
    [kept, ended] = [toId(await must(sign("readers"))), toId(await must(sign("former")))];
    await must(offline("keys", "rotate", "readers", "--add", "next", "--remove", "readers"));
    expect(await verify(ended)).toMatchObject({ code: 0 });
    await must(offline("trust", "revoke", "former"));
    const view = await must(offline("trust", "view"));
    expect(view).toMatch(/root +2 +3 of 3/u);
    expect(view).toMatch(/readers +2 +2 of 2 +digit-\*/u);
    expect(view).not.toContain("former");
  }, 300_000);

  it("shows with the devices' own code what a device will take, and what it will not", async () => {
    expect(await verify(kept)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/signed by a publisher[^]*sha256:[0-9a-f]{64} \d+ bytes/u),
    });
    expect(await verify(ended)).toMatchObject({ code: 1, stderr: expect.stringContaining("no publisher vouches") });
    expect(await verify("rel-none")).toMatchObject({ code: 3, stderr: expect.stringContaining("holds no release") });
  });

  it("A10 believes no folder by itself: another root, a release or a document that was touched are refused", async () => {
    const other = join(dir, "other");
    const env = { ...nowhere, FAIRLEAD_TRUST: other, FAIRLEAD_KEY_PASSPHRASE: secret };
    await must(runCli(["trust", "create", "--online-key", file("online.pem")], env));
    expect(await verify(kept, "--root", join(other, "metadata", "1.root.json"))).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("trust_refused"),
    });
    const forged = join(dir, "forged");
    const touch = (name: string, from: string, to: string) => {
      cpSync(desk, forged, { recursive: true });
      const text = readFileSync(join(forged, name), "utf8");
      expect(text).toContain(from);
      writeFileSync(join(forged, name), text.replace(from, to));
      return offline("releases", "verify", kept, "--from", forged);
    };
    const refused = { code: 1, stderr: expect.stringContaining("trust_refused") };
    expect(await touch(join("releases", `${kept}.json`), '"version": "1.0.0"', '"version": "1.0.1"')).toMatchObject(
      refused,
    );
    for (const name of ["2.root", "5.targets", "2.readers"]) {
      expect(await touch(join("metadata", `${name}.json`), "T", "t"), name).toMatchObject(refused);
      rmSync(forged, { recursive: true });
    }
  });

  it("signs nothing but the version that it was told to, and needs the plane when it has no file", async () => {
    const args = ["releases", "sign", "digit-reader", "1.0.1", "--manifest", file("digits.json"), "--no-publish"];
    expect(await offline(...args)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("not digit-reader 1.0.1"),
    });
    writeFileSync(file("broken.json"), "{}");
    const broken = ["releases", "sign", "digit-reader", "1.0.0", "--manifest", file("broken.json"), "--no-publish"];
    expect(await offline(...broken)).toMatchObject({ code: 1, stderr: expect.stringContaining("models describe") });
    const asked = ["releases", "sign", "digit-reader", "1.0.0", "--as", "readers", "--no-publish"];
    expect(await runCli(asked, { ...refusing, ...desktop })).toMatchObject({ code: 7 });
    expect(await runCli(asked, { ...nowhere, ...desktop })).toMatchObject({ code: 2 });
    expect(await offline("keys", "rotate", "root", "--threshold", "two")).toMatchObject({ code: 2 });
  });
});

describe("what was signed there", () => {
  it("is published from a machine without keys, and taken by the plane and by whoever asks as a device", async () => {
    carry();
    await must(online("releases", "publish"));
    expect(await published()).toEqual([kept]);
    expect((await state()).roles).toMatchObject({ root: { version: 2 }, readers: { version: 2 } });
    expect(await online("releases", "verify", kept)).toMatchObject({ code: 0 });
  });

  it("changes the plane's own key by files alone", async () => {
    writeFileSync(file("new.pem"), await must(online("trust", "online-key", "--new")));
    const before = (await state()).roles["timestamp"]?.version ?? 0;
    await must(offline("keys", "rotate", "online", "--public-key", file("new.pem")));
    const [old, next] = ["online.pem", "new.pem"].map((name) => readFileSync(file(name), "utf8").trim());
    expect((await state()).onlineKeys.map((pem) => pem.trim())).toEqual([old, next]);
    carry();
    await must(online("releases", "publish"));
    expect(await state()).toMatchObject({ problem: null, roles: { root: { version: 4 } } });
    expect((await state()).roles["timestamp"]?.version).toBeGreaterThan(before);
    expect(await online("releases", "verify", kept)).toMatchObject({ code: 0 });
  });

  it("never leaves out what others published meanwhile: it is refused until it follows theirs", async () => {
    const second = join(dir, "second");
    cpSync(desk, second, { recursive: true });
    const first = toId(await must(sign("readers")));
    carry();
    await must(online("releases", "publish"));
    const elsewhere = { ...nowhere, FAIRLEAD_TRUST: second, FAIRLEAD_KEY_PASSPHRASE: secret };
    const args = ["releases", "sign", "digit-reader", "1.0.0", "--as", "readers", "--manifest", file("digits.json")];
    // Twice, so that its document has a higher version than the one that was published.
    for (let count = 0; count < 2; count += 1) await must(runCli([...args, "--no-publish"], elsewhere));
    const late = { ...plane.cliEnv, FAIRLEAD_TRUST: second };
    for (const verb of [
      ["releases", "publish"],
      ["trust", "pull"],
    ])
      expect(await runCli(verb, late)).toMatchObject({ code: 5, stderr: expect.stringContaining("--replace") });
    expect(await published()).toEqual([kept, first]);
    await must(runCli(["trust", "pull", "--replace"], late));
    await must(runCli([...args, "--no-publish"], elsewhere));
    await must(runCli(["releases", "publish"], late));
    expect(await published()).toHaveLength(3);
    expect(await runCli(["releases", "verify", first], late)).toMatchObject({ code: 0 });
  });
});
