import { createHash } from "node:crypto";
import { join } from "node:path";
import { generateKeyPair, parseSigningKey, toPublicKeyPem, type SigningKey } from "@fairlead/artifacts";
import { createAuthorityPair, parseAuthority, type Authority, type KeyAndCertificate } from "./certificates.ts";
import { loadFile, saveFile } from "./files.ts";
import { loadServerPair, type ServerPairOptions } from "./server-certificate.ts";

export interface OpenAuthority {
  readonly authority: Authority;
  /** SHA-256 of the authority's certificate (DER), hexadecimal: the second part of every token. */
  readonly fingerprint: string;
  readonly server: KeyAndCertificate;
  readonly signingKey: SigningKey;
  readonly signingKeys: readonly string[];
}

/** A key without its certificate is the trace of a crash before anything was issued, so it is made anew. */
async function loadAuthorityPair({ folder, nowMs }: ServerPairOptions): Promise<KeyAndCertificate> {
  const keyPem = loadFile(join(folder, "ca.key"));
  const certificatePem = loadFile(join(folder, "ca.pem"));
  if (keyPem !== undefined && certificatePem !== undefined) return { keyPem, certificatePem };
  const pair = await createAuthorityPair(nowMs);
  saveFile(join(folder, "ca.key"), pair.keyPem);
  saveFile(join(folder, "ca.pem"), pair.certificatePem, 0o644);
  return pair;
}

function loadSigningKey(folder: string): SigningKey {
  const path = join(folder, "signing.key");
  const pem = loadFile(path);
  if (pem !== undefined) return parseSigningKey(pem);
  const pair = generateKeyPair();
  saveFile(path, pair.privateKeyPem);
  return parseSigningKey(pair.privateKeyPem);
}

/** Everything secret that the plane owns; made on the first start, found on every later one. */
export async function openAuthority(options: ServerPairOptions): Promise<OpenAuthority> {
  const authority = await parseAuthority(await loadAuthorityPair(options));
  const signingKey = loadSigningKey(options.folder);
  return {
    authority,
    fingerprint: createHash("sha256").update(Buffer.from(authority.certificate.rawData)).digest("hex"),
    server: await loadServerPair(authority, options),
    signingKey,
    signingKeys: [toPublicKeyPem(signingKey)],
  };
}
