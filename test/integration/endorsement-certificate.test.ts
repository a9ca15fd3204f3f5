// The certificate library needs what this one registers, so it comes first.
import "@fairlead/control-plane/certificates";
import { checkEndorsementCertificate } from "@fairlead/integrity/tpm";
import * as x509 from "@peculiar/x509";
import { KeyObject, webcrypto, X509Certificate } from "node:crypto";
import { beforeAll, describe, expect, it } from "vitest";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const nowMs = 1_795_000_000_000;
const dayMs = 86_400_000;
const endorsementPurpose = "2.23.133.8.1";
type Pair = webcrypto.CryptoKeyPair;
const generate = () => webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]) as Promise<Pair>;

interface Wanted {
  readonly subject: string;
  readonly keys: Pair;
  readonly issuer: { readonly name: string; readonly keys: Pair };
  readonly ca?: boolean;
  readonly purpose?: string;
  readonly fromMs?: number;
  readonly days?: number;
}

async function issue({ subject, keys, issuer, ca = false, purpose, fromMs = nowMs - dayMs, days = 30 }: Wanted) {
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: "01",
    subject,
    issuer: issuer.name,
    notBefore: new Date(fromMs),
    notAfter: new Date(fromMs + days * dayMs),
    signingKey: issuer.keys.privateKey,
    publicKey: keys.publicKey,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(ca, undefined, true),
      ...(purpose === undefined ? [] : [new x509.ExtendedKeyUsageExtension([purpose])]),
    ],
  });
  return new X509Certificate(Buffer.from(certificate.rawData));
}

let keys: Record<"root" | "middle" | "foreign" | "endorsement" | "other", Pair>;
let root: X509Certificate;
let middle: X509Certificate;
const name = { root: "CN=Maker root", middle: "CN=Maker 1" };
const byMaker = (changes: Partial<Wanted> = {}) =>
  issue({
    ...{ subject: "CN=EK", keys: keys.endorsement, purpose: endorsementPurpose },
    issuer: { name: name.middle, keys: keys.middle },
    ...changes,
  });
const check = (certificate: X509Certificate, makers = [root, middle]) =>
  checkEndorsementCertificate(
    { certificate: certificate.raw, endorsement: KeyObject.from(keys.endorsement.publicKey as never) },
    makers,
    nowMs,
  );
const refused = (message: string) =>
  expect.objectContaining({
    code: "attestation_refused",
    message: expect.stringContaining(message) as string,
  }) as Error;

beforeAll(async () => {
  const made = await Promise.all([generate(), generate(), generate(), generate(), generate()]);
  keys = { root: made[0], middle: made[1], foreign: made[2], endorsement: made[3], other: made[4] };
  const issuer = { name: name.root, keys: keys.root };
  root = await issue({ subject: name.root, keys: keys.root, issuer, ca: true });
  middle = await issue({ subject: name.middle, keys: keys.middle, issuer, ca: true });
});

let good: X509Certificate;
let bad: Record<"otherKey" | "noPurpose" | "authority" | "late" | "early", X509Certificate>;
beforeAll(async () => {
  good = await byMaker();
  bad = {
    otherKey: await byMaker({ keys: keys.other }),
    noPurpose: await byMaker({ purpose: "1.3.6.1.5.5.7.3.2" }),
    authority: await byMaker({ ca: true }),
    late: await byMaker({ fromMs: nowMs - 60 * dayMs }),
    early: await byMaker({ fromMs: nowMs + dayMs }),
  };
});

describe("an endorsement certificate", () => {
  it("is good down to a root of a maker that the operator trusts", () => {
    expect(() => check(good)).not.toThrow();
  });

  it("A44 is refused when another maker issued it, or a maker of the same name", async () => {
    const foreign = await byMaker({ issuer: { name: name.middle, keys: keys.foreign } });
    expect(() => check(foreign)).toThrow(refused("not of a maker that is trusted"));
    const stranger = await byMaker({ issuer: { name: "CN=Stranger", keys: keys.foreign } });
    expect(() => check(stranger)).toThrow(refused("not of a maker that is trusted"));
    expect(() => check(good, [])).toThrow(refused("not of a maker that is trusted"));
  });

  it("is refused when the chain ends at an intermediate, or passes one that has expired", async () => {
    expect(() => check(good, [middle])).toThrow(refused("not of a maker that is trusted"));
    const issuer = { name: name.root, keys: keys.root };
    const old = await issue({ subject: name.middle, keys: keys.middle, issuer, ca: true, fromMs: nowMs - 90 * dayMs });
    expect(() => check(good, [root, old])).toThrow(refused("not of a maker that is trusted"));
  });

  it("is refused when it is of another key, of another purpose, of an authority, or out of its time", () => {
    expect(() => check(bad.otherKey)).toThrow(refused("of another key"));
    expect(() => check(bad.noPurpose)).toThrow(refused("not issued for an endorsement key"));
    expect(() => check(bad.authority)).toThrow(refused("not issued for an endorsement key"));
    expect(() => check(bad.late)).toThrow(refused("not valid now"));
    expect(() => check(bad.early)).toThrow(refused("not valid now"));
    const claim = { certificate: Buffer.from("no certificate"), endorsement: good.publicKey };
    expect(() => checkEndorsementCertificate(claim, [root], nowMs)).toThrow(refused("cannot be read"));
  });

  it("does not make a certificate that is no authority a link of the chain", async () => {
    const issuer = { name: name.root, keys: keys.root };
    const leaf = await issue({ subject: name.middle, keys: keys.middle, issuer });
    expect(() => check(good, [root, leaf])).toThrow(refused("not of a maker that is trusted"));
  });
});
