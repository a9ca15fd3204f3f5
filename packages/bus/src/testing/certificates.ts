import "reflect-metadata";
import { webcrypto } from "node:crypto";
import { isIP } from "node:net";
import {
  BasicConstraintsExtension,
  cryptoProvider,
  ExtendedKeyUsageExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
  type X509Certificate,
} from "@peculiar/x509";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const day = 86_400_000;

/** A key with its certificate, as PEM texts. */
export interface TestIdentity {
  readonly key: string;
  readonly cert: string;
}

export interface TestAuthority {
  readonly ca: string;
  /** A server certificate for the host. */
  issueServer(host: string): Promise<TestIdentity>;
  /** A client certificate with O = tenant, CN = device. */
  issueDevice(tenant: string, device: string): Promise<TestIdentity>;
  /** A client certificate with any subject, for instance `CN=a, CN=b`. */
  issueSubject(subject: string): Promise<TestIdentity>;
}

async function toPem(key: webcrypto.CryptoKey): Promise<string> {
  return PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", key), "PRIVATE KEY");
}

/** A certificate authority for one test, made on the spot. */
export async function createTestAuthority(name = "Test Authority"): Promise<TestAuthority> {
  cryptoProvider.set(webcrypto);
  const makeKeys = async () => webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const keys = await makeKeys();
  const life = { notBefore: new Date(Date.now() - day), notAfter: new Date(Date.now() + day) };
  const authority = await X509CertificateGenerator.createSelfSigned({
    serialNumber: "01",
    name: `CN=${name}`,
    ...life,
    signingAlgorithm: algorithm,
    keys,
    extensions: [new BasicConstraintsExtension(true, 1, true)],
  });

  async function issue(subject: string, extension: SubjectAlternativeNameExtension | undefined): Promise<TestIdentity> {
    const own = await makeKeys();
    const usage = extension === undefined ? "1.3.6.1.5.5.7.3.2" : "1.3.6.1.5.5.7.3.1";
    const certificate: X509Certificate = await X509CertificateGenerator.create({
      serialNumber: Buffer.from(webcrypto.getRandomValues(new Uint8Array(8)))
        .toString("hex")
        .replace(/^./u, "1"),
      subject,
      issuer: authority.subject,
      ...life,
      signingAlgorithm: algorithm,
      publicKey: own.publicKey,
      signingKey: keys.privateKey,
      extensions: [new ExtendedKeyUsageExtension([usage]), ...(extension === undefined ? [] : [extension])],
    });
    return { key: await toPem(own.privateKey), cert: certificate.toString("pem") };
  }

  return {
    ca: authority.toString("pem"),
    issueServer: (host) =>
      issue(
        `CN=${host}`,
        new SubjectAlternativeNameExtension([{ type: isIP(host) === 0 ? "dns" : "ip", value: host }]),
      ),
    issueDevice: (tenant, device) => issue(`O=${tenant}, CN=${device}`, undefined),
    issueSubject: (subject) => issue(subject, undefined),
  };
}
