import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { CodedError } from "@fairlead/kernel";
import { toDigest } from "./digest.ts";

/** A private key that signs, and the name under which verifiers know it. */
export interface SigningKey {
  readonly keyId: string;
  readonly privateKey: KeyObject;
}

/** A public key that verifies. `keyId` = `sha256:` of its DER SubjectPublicKeyInfo. */
export interface VerificationKey {
  readonly keyId: string;
  readonly publicKey: KeyObject;
}

/** PEM texts: PKCS #8 for the private, SubjectPublicKeyInfo for the public key. */
export interface KeyPairPem {
  readonly keyId: string;
  readonly privateKeyPem: string;
  readonly publicKeyPem: string;
}

function toKeyId(publicKey: KeyObject): string {
  return toDigest(publicKey.export({ type: "spki", format: "der" }));
}

function requireEd25519(key: KeyObject): KeyObject {
  if (key.asymmetricKeyType !== "ed25519") {
    throw new CodedError("key_invalid", `the key is ${key.asymmetricKeyType ?? "symmetric"}, not Ed25519`, {
      hint: "make one with: openssl genpkey -algorithm ed25519",
    });
  }
  return key;
}

function importKey(read: () => KeyObject): KeyObject {
  try {
    return requireEd25519(read());
  } catch (error) {
    if (error instanceof CodedError) throw error;
    // The cause is left out on purpose: OpenSSL's message may quote the input.
    throw new CodedError("key_invalid", "the text is not a PEM key", {
      hint: "give an unencrypted Ed25519 key in PEM",
    });
  }
}

export function generateKeyPair(): KeyPairPem {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  return {
    keyId: toKeyId(publicKey),
    privateKeyPem: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    publicKeyPem: publicKey.export({ type: "spki", format: "pem" }).toString(),
  };
}

/** @throws CodedError `key_invalid` */
export function parseSigningKey(privateKeyPem: string): SigningKey {
  const privateKey = importKey(() => createPrivateKey(privateKeyPem));
  return { keyId: toKeyId(createPublicKey(privateKey)), privateKey };
}

/** @throws CodedError `key_invalid`, also for a private key: a verifier must never hold one */
export function parseVerificationKey(publicKeyPem: string): VerificationKey {
  if (!publicKeyPem.includes("BEGIN PUBLIC KEY")) {
    throw new CodedError("key_invalid", "the text is not a PEM public key", { hint: "give the public half only" });
  }
  const publicKey = importKey(() => createPublicKey(publicKeyPem));
  return { keyId: toKeyId(publicKey), publicKey };
}

export function toPublicKeyPem(key: SigningKey | VerificationKey): string {
  const publicKey = "publicKey" in key ? key.publicKey : createPublicKey(key.privateKey);
  return publicKey.export({ type: "spki", format: "pem" }).toString();
}
