import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli, runCliJson, type CliAnswer } from "../support/cli.ts";
import { TestPlane } from "../support/plane.ts";
import { publishDigitReader } from "../support/publish.ts";
import { SoftHsm, whyNoSoftHsm } from "../support/softhsm.ts";

const reason = whyNoSoftHsm();
/** What pkcs11-tool signs in one piece; SoftHSM signs with Ed25519 in no other way. */
const onePieceBytes = 1_024;

describe.skipIf(reason !== null)(
  `keys in a real PKCS#11 token${reason === null ? "" : ` (skipped: ${reason})`}`,
  () => {
    const dir = mkdtempSync(join(tmpdir(), "pkcs11-"));
    const plane = new TestPlane({ dir });
    let hsm: SoftHsm;
    const keyFile = (name: string) => join(plane.trustDir, "keys", `${name}.key`);
    const cli = (args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<CliAnswer> =>
      runCli(args, { ...plane.cliEnv, SOFTHSM2_CONF: hsm.configPath, FAIRLEAD_SIGNER_PIN: hsm.pin, ...env });
    const must = async (...args: string[]): Promise<string> => {
      const { code, stdout, stderr } = await cli(args);
      if (code !== 0) throw new Error(`${args.join(" ")}: ${stderr}`);
      return stdout;
    };
    const add = (name: string, publicKey: string, more: readonly string[]) => {
      const command = ["pkcs11-tool", ...hsm.arguments, "--sign", "--id", name, ...more];
      const args = command.map((text) => `--arg=${text}`);
      return ["keys", "add", name, "--public-key", publicKey, ...args, "--env", "SOFTHSM2_CONF"];
    };
    /** The newest document of a role. */
    const readNewest = (role: string): string => {
      const names = readdirSync(join(plane.trustDir, "metadata")).filter((name) => name.endsWith(`.${role}.json`));
      const newest = names.toSorted((left, right) => Number.parseInt(left, 10) - Number.parseInt(right, 10)).at(-1);
      return readFileSync(join(plane.trustDir, "metadata", newest ?? ""), "utf8");
    };

    beforeAll(async () => {
      await plane.start();
      await publishDigitReader(plane, "1.0.0");
      hsm = await SoftHsm.create(join(dir, "hsm"));
    }, 120_000);
    afterAll(async () => {
      await plane[Symbol.asyncDispose]();
      rmSync(dir, { recursive: true, force: true });
    });

    it("ECDSA P-256 signs documents of any length by their digest, and the plane and devices take them", async () => {
      const publicKey = await hsm.createKey("01", "EC:prime256v1");
      await must(...add("01", publicKey, ["-m", "ECDSA", "--signature-format", "openssl"]), "--input", "sha256");
      await must("keys", "rotate", "targets", "--add", "01", "--remove", "targets");
      await must("keys", "generate", "more");
      const models = Array.from({ length: 24 }, (_, at) => ["--models", `more-models-${at}-*`]).flat();
      await must("trust", "delegate", "more", "--key", "more", ...models);
      const { signed } = JSON.parse(readNewest("targets")) as { signed: object };
      expect(JSON.stringify(signed).length).toBeGreaterThan(onePieceBytes);
      await must("releases", "publish");
      await must("releases", "sign", "digit-reader", "1.0.0");
      const [release] = await runCliJson<{ releaseId: string }[]>(["releases", "list"], plane.cliEnv);
      expect(await must("releases", "verify", release?.releaseId ?? "")).toContain("signed by a publisher");
    }, 240_000);

    it("Ed25519 signs the short documents of a team", async () => {
      const publicKey = await hsm.createKey("02", "EC:edwards25519");
      await must(...add("02", publicKey, ["-m", "EDDSA"]));
      await must("trust", "delegate", "tokens", "--key", "02", "--models", "digit-*");
      await must("trust", "revoke", "publisher");
      await must("releases", "publish");
      const [release] = await runCliJson<{ releaseId: string }[]>(
        ["releases", "sign", "digit-reader", "1.0.0", "--as", "tokens"],
        { ...plane.cliEnv, SOFTHSM2_CONF: hsm.configPath, FAIRLEAD_SIGNER_PIN: hsm.pin },
      );
      expect(await must("releases", "verify", release?.releaseId ?? "")).toContain("signed by a publisher");
    }, 240_000);

    it("the PIN lies in no file and is repeated by no message, also when it is wrong or missing", async () => {
      for (const name of ["01", "02"]) {
        expect(statSync(keyFile(name)).mode & 0o777).toBe(0o600);
        expect(readFileSync(keyFile(name), "utf8")).not.toContain(hsm.pin);
      }
      const sign = ["releases", "sign", "digit-reader", "1.0.0", "--as", "tokens"];
      const wrong = await cli(sign, { FAIRLEAD_SIGNER_PIN: "wrong-0815" });
      expect(wrong).toMatchObject({ code: 4, stderr: expect.stringMatching(/signing command of 02 failed: exit 1/u) });
      expect(wrong.stderr).not.toContain("wrong-0815");
      expect(await cli(sign, { FAIRLEAD_SIGNER_PIN: "" })).toMatchObject({ code: 4 });
      const pinned = ["keys", "add", "pinned", "--public-key", join(dir, "hsm", "01.pub"), "--arg=pkcs11-tool"];
      const refused = await cli([...pinned, "--arg=--pin", `--arg=${hsm.pin}`]);
      expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining("env:FAIRLEAD_SIGNER_PIN") });
      expect(refused.stderr).not.toContain(hsm.pin);
    }, 120_000);
  },
);

it("a command that signs is given its own variables and no other secret", async () => {
  const dir = mkdtempSync(join(tmpdir(), "signer-env-"));
  try {
    const seen = join(dir, "seen.json");
    const program = join(dir, "signer.mjs");
    writeFileSync(
      program,
      `import { writeFileSync } from "node:fs"; writeFileSync(${JSON.stringify(seen)}, JSON.stringify(process.env));
process.stderr.write("cannot open with " + process.env.FAIRLEAD_SIGNER_PIN); process.exit(3);`,
    );
    const env = {
      ...{ FAIRLEAD_TRUST: join(dir, "trust"), FAIRLEAD_KEY_PASSPHRASE: "correct horse battery staple" },
      ...{ FAIRLEAD_TOKEN: "fla_secret", AWS_SECRET_ACCESS_KEY: "hidden", MODULE_CONF: "/etc/module.conf" },
      ...{ FAIRLEAD_SIGNER_PIN: "4711-0815", FAIRLEAD_CONFIG: join(dir, "config.yaml") },
    };
    await runCli(["keys", "generate", "root"], env);
    const { publicKey } = JSON.parse(readFileSync(join(dir, "trust", "keys", "root.key"), "utf8")) as {
      publicKey: string;
    };
    writeFileSync(join(dir, "key.pem"), publicKey);
    rmSync(join(dir, "trust", "keys", "root.key"));
    const command = [process.execPath, program].flatMap((text) => ["--arg", text]);
    const named = ["--env", "MODULE_CONF", "--env", "FAIRLEAD_KEY_PASSPHRASE"];
    await runCli(["keys", "add", "root", "--public-key", join(dir, "key.pem"), ...command, ...named], env);
    const roles = ["--root-key", "root", "--targets-key", "root", "--online-key", join(dir, "key.pem")];
    const failed = await runCli(["trust", "create", ...roles], env);
    expect(failed).toMatchObject({ code: 4, stderr: expect.stringContaining("exit 3: cannot open with ***") });
    expect(failed.stderr).not.toContain("4711-0815");
    const given = JSON.parse(readFileSync(seen, "utf8")) as Record<string, string>;
    expect(given).toMatchObject({ FAIRLEAD_SIGNER_PIN: "4711-0815", MODULE_CONF: "/etc/module.conf" });
    for (const name of ["FAIRLEAD_TOKEN", "FAIRLEAD_KEY_PASSPHRASE", "FAIRLEAD_TRUST", "AWS_SECRET_ACCESS_KEY"])
      expect(Object.keys(given), name).not.toContain(name);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}, 60_000);
