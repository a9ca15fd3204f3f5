import { derTag, ecdsaWithSha256, toDer, toPem } from "@fairlead/artifacts";
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

const commonName = Buffer.from("550403", "hex");

/**
 * PKCS#10 request (RFC 2986), PEM; its signature proves that this device holds the key. Written out here, because no
 * library that we know lets a TPM sign.
 */
export async function createCertificateRequest(signer: RequestSigner, device: string): Promise<string> {
  const attribute = toDer(
    derTag.sequence,
    toDer(derTag.id, commonName),
    toDer(derTag.text, Buffer.from(device, "utf8")),
  );
  const information = toDer(
    derTag.sequence,
    toDer(derTag.integer, Buffer.from([0])),
    toDer(derTag.sequence, toDer(derTag.set, attribute)),
    signer.publicKey.export({ type: "spki", format: "der" }),
    toDer(derTag.context0),
  );
  const signature = await signer.sign(information);
  const request = toDer(derTag.sequence, information, ecdsaWithSha256, toDer(derTag.bits, Buffer.from([0]), signature));
  return toPem("CERTIFICATE REQUEST", request);
}
