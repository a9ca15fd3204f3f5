import { hasErrorCode } from "@fairlead/kernel";
import { createPrivateKey, generateKeyPairSync, webcrypto } from "node:crypto";
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

/** PKCS#10 request, PEM; its signature proves that this device holds the key. */
export async function createCertificateRequest(keyPem: string, device: string): Promise<string> {
  // Only enrolment needs this library; the running supervisor never loads it.
  await import("reflect-metadata");
  const { Pkcs10CertificateRequestGenerator } = await import("@peculiar/x509");
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const privateKey = createPrivateKey(keyPem);
  const jwk = privateKey.export({ format: "jwk" });
  const { d: _secret, ...publicJwk } = jwk;
  const keys = {
    privateKey: await webcrypto.subtle.importKey("jwk", jwk, algorithm, false, ["sign"]),
    publicKey: await webcrypto.subtle.importKey("jwk", publicJwk, algorithm, true, ["verify"]),
  };
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: `CN=${device}`,
    keys,
    signingAlgorithm: algorithm,
  });
  return request.toString("pem");
}
