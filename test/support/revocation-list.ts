// The certificate library registers its parts through it, so it must come first.
import "reflect-metadata";
import type { Revocations } from "@fairlead/protocol";
import { PemConverter, X509Certificate, X509Crl } from "@peculiar/x509";
import type { TestPlane } from "./plane.ts";

export interface ReadList {
  readonly list: X509Crl;
  /** Of the certificates on it. */
  readonly serials: ReadonlySet<string>;
  readonly devices: readonly string[];
}

/** What the plane has a broker refuse. */
export async function readRevocations(plane: TestPlane): Promise<ReadList> {
  const { crl, devices } = await plane.get<Revocations>("/api/v1/revocations");
  const list = new X509Crl(PemConverter.decodeFirst(crl));
  return { list, serials: new Set(list.entries.map(({ serialNumber }) => serialNumber)), devices };
}

export function isSignedBy(list: X509Crl, authorityPem: string): Promise<boolean> {
  return list.verify({ publicKey: new X509Certificate(authorityPem) });
}
