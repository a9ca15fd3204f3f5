import { hasErrorCode } from "@fairlead/kernel";
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { writeFileDurably } from "../state/install-file.ts";
import { identityFiles } from "./identity.ts";

/** Made here and never sent anywhere. A key from an enrolment that was not finished is used again. */
export function loadOrCreateKey(folder: string): string {
  const path = join(folder, identityFiles.key);
  try {
    const text = readFileSync(path, "utf8");
    if (createPrivateKey(text).asymmetricKeyDetails?.namedCurve === "prime256v1") return text;
  } catch (error) {
    if (!hasErrorCode(error, "ENOENT") && !String((error as { code?: unknown }).code).startsWith("ERR_OSSL"))
      throw error;
  }
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  writeFileDurably(path, pem);
  return pem;
}

/** What signs a request: a key in a file, or one in a TPM. ECDSA with SHA-256, DER. */
export interface RequestSigner {
  readonly publicKey: KeyObject;
  readonly sign: (message: Uint8Array) => Promise<Buffer>;
}

export function toFileSigner(keyPem: string): RequestSigner {
  const key = createPrivateKey(keyPem);
  return { publicKey: createPublicKey(key), sign: async (message) => sign("sha256", message, key) };
}

/** One element of DER (X.690 clause 8.1), up to 65,535 bytes. */
function toDer(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const size = body.length;
  const length = size < 128 ? [size] : size < 256 ? [0x81, size] : [0x82, size >>> 8, size % 256];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}

const tag = { integer: 0x02, bits: 0x03, id: 0x06, text: 0x0c, sequence: 0x30, set: 0x31, attributes: 0xa0 } as const;
const commonName = Buffer.from("550403", "hex");
const ecdsaWithSha256 = Buffer.from("2a8648ce3d040302", "hex");

/**
 * PKCS#10 request (RFC 2986), PEM; its signature proves that this device holds the key. Written out here, because no
 * library that we know lets a TPM sign.
 */
export async function createCertificateRequest(signer: RequestSigner, device: string): Promise<string> {
  const attribute = toDer(tag.sequence, toDer(tag.id, commonName), toDer(tag.text, Buffer.from(device, "utf8")));
  const information = toDer(
    tag.sequence,
    toDer(tag.integer, Buffer.from([0])),
    toDer(tag.sequence, toDer(tag.set, attribute)),
    signer.publicKey.export({ type: "spki", format: "der" }),
    toDer(tag.attributes),
  );
  const signature = await signer.sign(information);
  const request = toDer(
    tag.sequence,
    information,
    toDer(tag.sequence, toDer(tag.id, ecdsaWithSha256)),
    toDer(tag.bits, Buffer.from([0]), signature),
  );
  const lines = request.toString("base64").match(/.{1,64}/gu) ?? [];
  return ["-----BEGIN CERTIFICATE REQUEST-----", ...lines, "-----END CERTIFICATE REQUEST-----", ""].join("\n");
}
