import { generateKeyPair } from "@fairlead/artifacts";
import { toTufKey, type TufSigner } from "@fairlead/artifacts/tuf";
import { toErrorMessage } from "@fairlead/kernel";
import { createCipheriv, createDecipheriv, createPrivateKey, randomBytes, scrypt, sign } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { CliError, toUsageError } from "../errors.ts";
import {
  externalKeySchema,
  requireNoSecret,
  signExternally,
  type Environment,
  type ExternalKey,
} from "./external-signer.ts";

/** OWASP's password storage figures for scrypt: 32 MiB, three passes. */
const cost = { N: 32_768, r: 8, p: 3, maxmem: 67_108_864 } as const;

const base64Schema = z
  .string()
  .max(4_096)
  .regex(/^[A-Za-z0-9+/=]*$/u);
export const keyNameSchema = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,62}$/u);

/** A key on disk: sealed with a passphrase, or in a device that a command speaks to. */
const keyFileSchema = z.union([
  z.strictObject({
    v: z.literal(1),
    publicKey: z.string().max(4_096),
    sealed: z.strictObject({
      kdf: z.literal("scrypt-32768-8-3"),
      cipher: z.literal("aes-256-gcm"),
      salt: base64Schema,
      nonce: base64Schema,
      tag: base64Schema,
      box: base64Schema,
    }),
  }),
  externalKeySchema,
]);
type KeyFile = z.infer<typeof keyFileSchema>;
type SealedKey = Extract<KeyFile, { sealed: unknown }>;

export interface NamedSigner extends TufSigner {
  readonly name: string;
}

function stretch(passphrase: string, salt: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) =>
    scrypt(passphrase.normalize("NFKC"), salt, 32, cost, (error, key) =>
      error === null ? resolve(key) : reject(error),
    ),
  );
}

function toPath(folder: string, name: string): string {
  if (keyNameSchema.safeParse(name).success) return join(folder, `${name}.key`);
  throw toUsageError(`"${name}" cannot be the name of a key`, "use lower-case letters, digits and dashes, at most 64");
}

function save(folder: string, name: string, file: KeyFile): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  try {
    // Never over a key that is there: what it signed could not be signed again.
    writeFileSync(toPath(folder, name), `${JSON.stringify(file, null, 2)}\n`, { mode: 0o600, flag: "wx" });
  } catch (error) {
    throw new CliError("key_unusable", `${toPath(folder, name)} cannot be written: ${toErrorMessage(error)}`, {
      cause: error,
      hint: "choose another name, or another --keys folder",
    });
  }
}

/** Makes a key, seals it and forgets it. @returns its public half */
export async function generateKeyFile(folder: string, name: string, passphrase: string): Promise<TufSigner["key"]> {
  const { privateKeyPem, publicKeyPem } = generateKeyPair();
  const [salt, nonce] = [randomBytes(16), randomBytes(12)];
  const cipher = createCipheriv("aes-256-gcm", await stretch(passphrase, salt), nonce);
  const box = Buffer.concat([cipher.update(privateKeyPem, "utf8"), cipher.final()]);
  const sealed = { salt, nonce, tag: cipher.getAuthTag(), box };
  save(folder, name, {
    v: 1,
    publicKey: publicKeyPem,
    sealed: {
      kdf: "scrypt-32768-8-3",
      cipher: "aes-256-gcm",
      salt: sealed.salt.toString("base64"),
      nonce: sealed.nonce.toString("base64"),
      tag: sealed.tag.toString("base64"),
      box: sealed.box.toString("base64"),
    },
  });
  return toTufKey(publicKeyPem);
}

/** A key that stays where it is: a token, a module, a signing service. @throws CliError `usage` */
export function addExternalKey(folder: string, name: string, key: Omit<ExternalKey, "v">): TufSigner["key"] {
  requireNoSecret(key.command);
  const tufKey = toTufKey(key.publicKey);
  if (tufKey.keyType === "ed25519" && key.input === "sha256")
    throw toUsageError("Ed25519 signs the message itself, not its digest", "leave --input out, or use a P-256 key");
  save(folder, name, { v: 1, ...key });
  return tufKey;
}

function load(folder: string, name: string): KeyFile {
  const path = toPath(folder, name);
  try {
    return keyFileSchema.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch (error) {
    throw new CliError("key_unusable", `${path} is no key of ours`, {
      cause: error,
      hint: `fairlead keys list shows what there is; fairlead keys generate ${name} makes one`,
    });
  }
}

export function listKeys(folder: string): { readonly name: string; readonly keyId: string; readonly kind: string }[] {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return [];
  }
  return names
    .filter((file) => file.endsWith(".key"))
    .toSorted()
    .map((file) => {
      const name = file.slice(0, -4);
      const key = load(folder, name);
      return { name, keyId: toTufKey(key.publicKey).keyID, kind: "command" in key ? "external" : "sealed file" };
    });
}

export function readPublicKey(folder: string, name: string): TufSigner["key"] {
  return toTufKey(load(folder, name).publicKey);
}

/** Of a key file, or of a key whose file is lost: its id. */
export function toKeyId(folder: string, name: string): string {
  return /^[0-9a-f]{64}$/u.test(name) ? name : readPublicKey(folder, name).keyID;
}

async function openSealed(name: string, file: SealedKey, passphrase: string): Promise<string> {
  const { salt, nonce, tag, box } = file.sealed;
  const read = (text: string) => Buffer.from(text, "base64");
  try {
    const decipher = createDecipheriv("aes-256-gcm", await stretch(passphrase, read(salt)), read(nonce), {
      authTagLength: 16,
    });
    decipher.setAuthTag(read(tag));
    return Buffer.concat([decipher.update(read(box)), decipher.final()]).toString("utf8");
  } catch {
    // The cause is left out: it says nothing beyond this.
    throw new CliError("key_unusable", `the passphrase does not open the key ${name}`, {
      hint: "set FAIRLEAD_KEY_PASSPHRASE or give --passphrase-file",
    });
  }
}

/** What opens a sealed key, and what a program that signs is given. */
export interface KeyAccess {
  readonly passphrase: () => string;
  readonly env: Environment;
}

/** @throws CliError `key_unusable` */
export async function openSigner(folder: string, name: string, access: KeyAccess): Promise<NamedSigner> {
  const file = load(folder, name);
  const key = toTufKey(file.publicKey);
  if ("command" in file) return { name, key, sign: (bytes) => signExternally(file, bytes, { name, env: access.env }) };
  const privateKey = createPrivateKey(await openSealed(name, file, access.passphrase()));
  return { name, key, sign: async (bytes) => sign(null, bytes, privateKey) };
}
