import { CodedError } from "@fairlead/kernel";
import { constants, createCipheriv, createECDH, createHmac, publicEncrypt } from "node:crypto";
import { toSized, type TpmErrorCode } from "./byte-reader.ts";
import { kdfa, kdfe } from "./key-derivation.ts";
import { toPublicKey, type TpmAttribute, type TpmKey, type TpmPublic } from "./tpm-public.ts";

export interface CredentialInput {
  readonly endorsement: TpmPublic;
  /** Name of the object that has to be loaded beside the endorsement key. */
  readonly name: Uint8Array;
  /** At most 32 bytes; only that TPM gives it back. */
  readonly secret: Uint8Array;
  /** A source of chance: that many bytes. */
  readonly random: (sizeBytes: number) => Uint8Array;
}

export interface Credential {
  /** TPM2B_ID_OBJECT (TPM 2.0 Part 2 clause 12.4.3). */
  readonly credentialBlob: Buffer;
  /** TPM2B_ENCRYPTED_SECRET (TPM 2.0 Part 2 clause 11.4.3.3). */
  readonly encryptedSecret: Buffer;
}

const needed: readonly TpmAttribute[] = ["fixedTpm", "fixedParent", "sensitiveDataOrigin", "restricted", "decrypt"];

function requireEndorsement({ attributes, hasAes128Cfb, key }: TpmPublic): void {
  const isStorage = needed.every((name) => attributes.has(name)) && !attributes.has("sign") && hasAes128Cfb;
  if (isStorage && (key.kind === "p256" || key.modulus.length === 256)) return;
  throw new CodedError<TpmErrorCode>("endorsement_unsupported", "the endorsement key is not one of the usual form", {
    hint: "send the RSA-2048 or P-256 key of the TCG's default template: a restricted storage key with AES-128",
  });
}

interface Shared {
  readonly seed: Buffer;
  readonly encrypted: Buffer;
}

/** TPM 2.0 Part 1 Annex B.10.4: the seed under OAEP with SHA-256 and the label "IDENTITY", zero byte included. */
function shareOverRsa(key: TpmKey, random: CredentialInput["random"]): Shared {
  const seed = Buffer.from(random(32));
  const padding = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha256" };
  const encrypted = publicEncrypt(
    { key: toPublicKey(key), ...padding, oaepLabel: Buffer.from("IDENTITY\0", "latin1") },
    seed,
  );
  return { seed, encrypted };
}

/** TPM 2.0 Part 1 Annex C.6.4: one-pass Diffie–Hellman; the secret is the ephemeral point. */
function shareOverP256(key: TpmKey & { readonly kind: "p256" }, random: CredentialInput["random"]): Shared {
  const ephemeral = createECDH("prime256v1");
  ephemeral.setPrivateKey(Buffer.from(random(32)));
  const point = ephemeral.getPublicKey();
  const [x, y] = [point.subarray(1, 33), point.subarray(33)];
  toPublicKey(key);
  const z = ephemeral.computeSecret(Buffer.concat([Buffer.from([4]), key.x, key.y]));
  const seed = kdfe({ z, label: "IDENTITY", partyU: x, partyV: key.x });
  return { seed, encrypted: Buffer.concat([toSized(x), toSized(y)]) };
}

/**
 * TPM2_MakeCredential in software (TPM 2.0 Part 1 clause 24, "Credential Protection"): a secret that comes out only of the
 * TPM that holds the endorsement key, and only while the object of that name is loaded in it.
 * @throws CodedError `endorsement_unsupported`
 */
export function makeCredential({ endorsement, name, secret, random }: CredentialInput): Credential {
  requireEndorsement(endorsement);
  const { key } = endorsement;
  const { seed, encrypted } = key.kind === "rsa" ? shareOverRsa(key, random) : shareOverP256(key, random);
  const symmetricKey = kdfa({ key: seed, label: "STORAGE", contextU: name, bits: 128 });
  const cipher = createCipheriv("aes-128-cfb", symmetricKey, Buffer.alloc(16));
  const identity = Buffer.concat([cipher.update(toSized(secret)), cipher.final()]);
  const hmacKey = kdfa({ key: seed, label: "INTEGRITY", bits: 256 });
  const integrity = createHmac("sha256", hmacKey).update(identity).update(name).digest();
  return {
    credentialBlob: toSized(Buffer.concat([toSized(integrity), identity])),
    encryptedSecret: toSized(encrypted),
  };
}
