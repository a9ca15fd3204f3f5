// The certificate library registers its parts through it, so it must come first.
import "reflect-metadata";
import { createHash, createPublicKey, randomBytes, webcrypto, X509Certificate, type KeyObject } from "node:crypto";
import { isIP } from "node:net";
import { CodedError } from "@fairlead/kernel";
import * as x509 from "@peculiar/x509";

const dayMs = 86_400_000;
/** Certificates begin in the past, so that a device whose clock is two days slow still trusts its plane. */
export const backdateMs = 2 * dayMs;
const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

export interface KeyAndCertificate {
  readonly keyPem: string;
  readonly certificatePem: string;
}
export interface Authority {
  readonly certificatePem: string;
  readonly certificate: x509.X509Certificate;
  readonly privateKey: webcrypto.CryptoKey;
}

const toSerial = () => `01${randomBytes(15).toString("hex")}`;
const generate = () =>
  webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]) as Promise<webcrypto.CryptoKeyPair>;
const toKeyPem = async (key: webcrypto.CryptoKey) =>
  x509.PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", key), "PRIVATE KEY");

export async function createAuthorityPair(nowMs: number): Promise<KeyAndCertificate> {
  const keys = await generate();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: toSerial(),
    name: [{ CN: ["Fairlead authority"] }],
    notBefore: new Date(nowMs - backdateMs),
    notAfter: new Date(nowMs + 3_652 * dayMs),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { keyPem: await toKeyPem(keys.privateKey), certificatePem: certificate.toString("pem") };
}

export async function parseAuthority(pair: KeyAndCertificate): Promise<Authority> {
  const [der] = x509.PemConverter.decode(pair.keyPem);
  if (der === undefined) throw new CodedError("authority_invalid", "the authority's key file holds no key");
  const privateKey = await webcrypto.subtle.importKey("pkcs8", der, algorithm, false, ["sign"]);
  return {
    certificatePem: pair.certificatePem,
    certificate: new x509.X509Certificate(pair.certificatePem),
    privateKey,
  };
}

interface LeafOptions {
  readonly subject: x509.JsonName;
  readonly publicKey: x509.PublicKeyType;
  readonly nowMs: number;
  readonly days: number;
  readonly usage: string;
  readonly extensions?: x509.Extension[];
}

async function issue(authority: Authority, leaf: LeafOptions): Promise<x509.X509Certificate> {
  return await x509.X509CertificateGenerator.create({
    serialNumber: toSerial(),
    subject: leaf.subject,
    issuer: authority.certificate.subject,
    notBefore: new Date(leaf.nowMs - backdateMs),
    notAfter: new Date(leaf.nowMs + leaf.days * dayMs),
    signingKey: authority.privateKey,
    publicKey: leaf.publicKey,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([leaf.usage]),
      await x509.SubjectKeyIdentifierExtension.create(leaf.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(authority.certificate),
      ...(leaf.extensions ?? []),
    ],
  });
}

export async function issueServerPair(
  authority: Authority,
  options: { readonly names: readonly string[]; readonly nowMs: number },
): Promise<KeyAndCertificate> {
  const keys = await generate();
  const names = options.names.map((value) => ({ type: isIP(value) === 0 ? "dns" : "ip", value }) as const);
  const certificate = await issue(authority, {
    subject: [{ CN: ["Fairlead control plane"] }],
    publicKey: keys.publicKey,
    nowMs: options.nowMs,
    days: 365,
    usage: x509.ExtendedKeyUsage.serverAuth,
    extensions: [new x509.SubjectAlternativeNameExtension(names)],
  });
  return { keyPem: await toKeyPem(keys.privateKey), certificatePem: certificate.toString("pem") };
}

export interface CertificateRequest {
  /** `sha256:` of the public key's DER; the same key gives the same value. */
  readonly keyFingerprint: string;
  readonly publicKey: x509.PublicKey;
}

function refuse(message: string, cause?: unknown): never {
  throw new CodedError("csr_invalid", message, {
    cause,
    hint: "send a PKCS#10 request in PEM, made and signed with a P-256 key",
  });
}

/** Checks form, key type and the signature that proves that the sender holds the key. @throws CodedError `csr_invalid` */
export async function parseCertificateRequest(pem: string): Promise<CertificateRequest> {
  let request: x509.Pkcs10CertificateRequest;
  try {
    request = new x509.Pkcs10CertificateRequest(pem);
  } catch (error) {
    return refuse("the certificate request cannot be read", error);
  }
  const key: unknown = request.publicKey.algorithm;
  const isP256 =
    typeof key === "object" && key !== null && "namedCurve" in key && key.namedCurve === "P-256" && "name" in key;
  if (!isP256) return refuse("the certificate request's key is not an ECDSA key on P-256");
  if (!(await request.verify().catch(() => false)))
    return refuse("the certificate request's signature is not of its key");
  return { keyFingerprint: toFingerprint(Buffer.from(request.publicKey.rawData)), publicKey: request.publicKey };
}

export function toKeyObject(publicKey: x509.PublicKey): KeyObject {
  return createPublicKey({ key: Buffer.from(publicKey.rawData), format: "der", type: "spki" });
}

const toFingerprint = (spki: Uint8Array) => `sha256:${createHash("sha256").update(spki).digest("hex")}`;

/** A key whose possession was proved in another way than by a PKCS#10 request. */
export function toCertificateRequest(publicKey: KeyObject): CertificateRequest {
  const der = publicKey.export({ type: "spki", format: "der" });
  return { keyFingerprint: toFingerprint(der), publicKey: new x509.PublicKey(new Uint8Array(der)) };
}

const toDerFingerprint = (der: Uint8Array): string => `sha256:${createHash("sha256").update(der).digest("hex")}`;

/** @throws when the text is no certificate */
export function toCertificateFingerprint(pem: string): string {
  return toDerFingerprint(new X509Certificate(pem).raw);
}

export interface DeviceCertificate {
  readonly certificatePem: string;
  readonly serial: string;
  readonly fingerprint: string;
  readonly notAfterMs: number;
}

/** The request's own subject and extensions are ignored: the plane says who the device is. */
export async function issueDeviceCertificate(
  authority: Authority,
  options: {
    readonly request: CertificateRequest;
    readonly device: string;
    readonly tenant: string;
    readonly nowMs: number;
    readonly days: number;
  },
): Promise<DeviceCertificate> {
  const certificate = await issue(authority, {
    subject: [{ CN: [options.device] }, { O: [options.tenant] }],
    publicKey: options.request.publicKey,
    nowMs: options.nowMs,
    days: options.days,
    usage: x509.ExtendedKeyUsage.clientAuth,
  });
  const der = Buffer.from(certificate.rawData);
  return {
    certificatePem: certificate.toString("pem"),
    serial: certificate.serialNumber,
    fingerprint: toDerFingerprint(der),
    notAfterMs: certificate.notAfter.getTime(),
  };
}
