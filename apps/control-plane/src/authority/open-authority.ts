import { createHash, X509Certificate } from "node:crypto";
import { createPrivateKey } from "node:crypto";
import { join } from "node:path";
import { generateKeyPair, parseSigningKey, toPublicKeyPem, type SigningKey } from "@fairlead/artifacts";
import {
  createAuthorityPair,
  issueServerPair,
  parseAuthority,
  type Authority,
  type KeyAndCertificate,
} from "./certificates.ts";
import { loadFile, saveFile } from "./files.ts";

const renewBeforeMs = 30 * 86_400_000;

export interface OpenAuthority {
  readonly authority: Authority;
  /** SHA-256 of the authority's certificate (DER), hexadecimal: the second part of every token. */
  readonly fingerprint: string;
  readonly server: KeyAndCertificate;
  readonly signingKey: SigningKey;
  readonly signingKeys: readonly string[];
}

export interface OpenAuthorityOptions {
  readonly folder: string;
  readonly serverNames: readonly string[];
  readonly nowMs: number;
}

/** A key without its certificate is the trace of a crash before anything was issued, so it is made anew. */
async function loadAuthorityPair({ folder, nowMs }: OpenAuthorityOptions): Promise<KeyAndCertificate> {
  const keyPem = loadFile(join(folder, "ca.key"));
  const certificatePem = loadFile(join(folder, "ca.pem"));
  if (keyPem !== undefined && certificatePem !== undefined) return { keyPem, certificatePem };
  const pair = await createAuthorityPair(nowMs);
  saveFile(join(folder, "ca.key"), pair.keyPem);
  saveFile(join(folder, "ca.pem"), pair.certificatePem, 0o644);
  return pair;
}

function isServerPairGood(pair: KeyAndCertificate, ca: string, options: OpenAuthorityOptions): boolean {
  try {
    const certificate = new X509Certificate(pair.certificatePem);
    return (
      certificate.checkPrivateKey(createPrivateKey(pair.keyPem)) &&
      certificate.checkIssued(new X509Certificate(ca)) &&
      certificate.verify(new X509Certificate(ca).publicKey) &&
      certificate.validToDate.getTime() > options.nowMs + renewBeforeMs &&
      options.serverNames.every(
        (name) => certificate.checkHost(name) !== undefined || certificate.checkIP(name) !== undefined,
      )
    );
  } catch {
    return false;
  }
}

async function loadServerPair(authority: Authority, options: OpenAuthorityOptions): Promise<KeyAndCertificate> {
  const keyPem = loadFile(join(options.folder, "server.key"));
  const certificatePem = loadFile(join(options.folder, "server.pem"));
  if (keyPem !== undefined && certificatePem !== undefined) {
    const pair = { keyPem, certificatePem };
    if (isServerPairGood(pair, authority.certificatePem, options)) return pair;
  }
  const pair = await issueServerPair(authority, { names: options.serverNames, nowMs: options.nowMs });
  saveFile(join(options.folder, "server.key"), pair.keyPem);
  saveFile(join(options.folder, "server.pem"), pair.certificatePem, 0o644);
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
export async function openAuthority(options: OpenAuthorityOptions): Promise<OpenAuthority> {
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
