import { toErrorMessage } from "@fairlead/kernel";
import { execFile } from "node:child_process";
import { createHash, createPublicKey, verify } from "node:crypto";
import { basename } from "node:path";
import * as z from "zod";
import { CliError, toUsageError } from "../errors.ts";

const signerTimeoutMs = 120_000;
export type Environment = Readonly<Record<string, string | undefined>>;

/** A key that a program speaks for: a token, a PKCS#11 module, a signing service. */
export const externalKeySchema = z.strictObject({
  v: z.literal(1),
  publicKey: z.string().max(4_096),
  /** Program and arguments; it gets its input on standard input and writes the signature. No shell. */
  command: z.array(z.string().max(4_096)).min(1).max(64),
  /** What it gets: the bytes to be signed, or (of P-256) the 32 bytes of their SHA-256. */
  input: z.enum(["message", "sha256"]).default("message"),
  /** Names of environment variables that it gets beside the usual ones and FAIRLEAD_SIGNER_*. */
  environment: z
    .array(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/u))
    .max(16)
    .default([]),
});
export type ExternalKey = z.infer<typeof externalKeySchema>;

/** What programs need to be found, to speak a language, and to ask for a PIN on a screen; none of it is secret. */
const usualVariable =
  /^(?:PATH|HOME|USER|LOGNAME|LANG|LANGUAGE|LC_[A-Z]+|TZ|TMPDIR|XDG_[A-Z_]+|DISPLAY|WAYLAND_DISPLAY|DBUS_SESSION_BUS_ADDRESS)$/u;
const ownVariable = /^FAIRLEAD_/u;
const signerVariable = /^FAIRLEAD_SIGNER_[A-Z0-9_]+$/u;

/** The token of the plane and the passphrase of other keys are nothing for whoever signs with this one. */
export function toSignerEnvironment(env: Environment, named: readonly string[]): Record<string, string> {
  const isPassed = (name: string): boolean =>
    signerVariable.test(name) || (!ownVariable.test(name) && (usualVariable.test(name) || named.includes(name)));
  return Object.fromEntries(
    Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined && isPassed(entry[0])),
  );
}

const secretOption = /^--?(?:[a-z]+-)*(?:pin|puk|password|passwd|passphrase|pass|passin|secret)$/iu;
/** Where the program fetches it itself. */
const isReference = (value: string): boolean => /^(?:env|file|fd|prompt):/iu.test(value);

function isSecret(program: string, arg: string, next: string): boolean {
  if (/[?;&]pin-value=/iu.test(arg) || /^pass:/iu.test(arg)) return true;
  const [, name = "", inline] = /^(--?[A-Za-z-]+)(?:=(.*))?$/su.exec(arg) ?? [];
  if (secretOption.test(name)) return !isReference(inline ?? next);
  // pkcs11-tool's short form of --pin, with or without a space.
  return program === "pkcs11-tool" && arg.startsWith("-p") && !isReference(arg === "-p" ? next : arg.slice(2));
}

/** @throws CliError `usage` when an argument is a secret; it is not repeated */
export function requireNoSecret(command: readonly string[]): void {
  const program = basename(command[0] ?? "");
  const at = command.findIndex((arg, index) => isSecret(program, arg, command[index + 1] ?? ""));
  if (at < 1) return;
  throw toUsageError(
    `argument ${at} of ${program} is a secret: it would lie in the key file, and be seen in the list of processes`,
    "write env:FAIRLEAD_SIGNER_PIN where the program can read its environment (pkcs11-tool can), and set that variable where you sign",
  );
}

/** What the program said of its failure, without the secrets that it was given. */
function toReason(
  error: Error & { readonly code?: unknown; readonly killed?: boolean },
  stderr: string,
  secrets: readonly string[],
): string {
  if (error.code === "ENOENT") return "there is no such program";
  if (error.killed === true) return `it gave no answer within ${signerTimeoutMs / 1_000} s`;
  let text = stderr.trim().replaceAll(/\s+/gu, " ");
  for (const secret of secrets) if (secret.length > 0) text = text.replaceAll(secret, "***");
  const code = typeof error.code === "number" ? `exit ${error.code}` : toErrorMessage(error.code ?? "it was ended");
  return text === "" ? code : `${code}: ${text.slice(-300)}`;
}

interface Running {
  readonly name: string;
  readonly env: Environment;
}

function runSigner(key: ExternalKey, bytes: Uint8Array, { name, env }: Running): Promise<Buffer> {
  const [program = "", ...args] = key.command;
  const given = toSignerEnvironment(env, key.environment);
  const secrets = Object.entries(given).flatMap(([variable, value]) => (usualVariable.test(variable) ? [] : [value]));
  return new Promise((resolve, reject) => {
    const options = { env: given, encoding: "buffer", timeout: signerTimeoutMs, maxBuffer: 65_536 } as const;
    const child = execFile(program, args, options, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout);
      const reason = toReason(error, stderr.toString("utf8"), secrets);
      // The cause is left out: it repeats the whole command line.
      return reject(
        new CliError("key_unusable", `the signing command of ${name} failed: ${reason}`, {
          hint: `run ${basename(program)} by itself to see why; it gets FAIRLEAD_SIGNER_* and what keys add --env names`,
        }),
      );
    });
    // A program that ends before it has read everything says why by itself.
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(bytes);
  });
}

/** @returns a signature that was verified here. @throws CliError `key_unusable` */
export async function signExternally(key: ExternalKey, bytes: Uint8Array, running: Running): Promise<Buffer> {
  const publicKey = createPublicKey(key.publicKey);
  const isEdwards = publicKey.asymmetricKeyType === "ed25519";
  const input = key.input === "sha256" ? createHash("sha256").update(bytes).digest() : bytes;
  const signature = await runSigner(key, input, running);
  if (verify(isEdwards ? null : "sha256", bytes, publicKey, signature)) return signature;
  throw new CliError("key_unusable", `the signing command of ${running.name} gave no signature of that key`, {
    hint: isEdwards
      ? "it must write the 64 bytes of an Ed25519 signature and nothing else"
      : "it must write an ECDSA signature in DER and nothing else: pkcs11-tool --signature-format openssl",
  });
}
