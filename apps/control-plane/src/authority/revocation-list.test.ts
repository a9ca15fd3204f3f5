// The certificate library registers its parts through it, so it must come first.
import "reflect-metadata";
import { X509Certificate, X509Crl, PemConverter } from "@peculiar/x509";
import { describe, expect, it } from "vitest";
import { createAuthorityPair, parseAuthority } from "./certificates.ts";
import { createRevocationList, listLifeMs } from "./revocation-list.ts";

const nowMs = Date.UTC(2026, 10, 28, 6, 3, 18);

async function make(at: number, revoked: readonly { readonly serial: string; readonly endedAtMs: number }[]) {
  const authority = await parseAuthority(await createAuthorityPair(nowMs));
  const pem = await createRevocationList(authority, { revoked, nowMs: at });
  return { pem, list: new X509Crl(PemConverter.decodeFirst(pem)), authority };
}

describe("a revocation list", () => {
  it("is read by another library as it was meant, and bears its authority's signature and no other's", async () => {
    const serials = ["01ff", "7f", "80", "0100000000000000000000000000000000"];
    const revoked = serials.map((serial, index) => ({ serial, endedAtMs: nowMs - 1_000 * index }));
    const { pem, list, authority } = await make(nowMs, revoked);
    expect(pem.startsWith("-----BEGIN X509 CRL-----\n")).toBe(true);
    expect(list.version).toBe(1); // v2
    expect(list.issuer).toBe(authority.certificate.subject);
    expect(list.nextUpdate?.getTime()).toBe(nowMs + listLifeMs);
    expect(list.thisUpdate.getTime()).toBeLessThan(nowMs);
    expect(list.entries.map(({ serialNumber }) => BigInt(`0x${serialNumber}`))).toEqual(
      serials.map((serial) => BigInt(`0x${serial}`)),
    );
    expect(list.entries.map(({ revocationDate }) => revocationDate.getTime())).toEqual(
      revoked.map(({ endedAtMs }) => endedAtMs),
    );
    expect(await list.verify({ publicKey: authority.certificate })).toBe(true);
    const other = new X509Certificate((await createAuthorityPair(nowMs)).certificatePem);
    expect(await list.verify({ publicKey: other })).toBe(false);
  });

  it("has no list of entries where there are none, and times of after 2049 with their century", async () => {
    const atMs = Date.UTC(2051, 0, 2, 3, 4, 5);
    const { list } = await make(atMs, []);
    expect(list.entries).toEqual([]);
    expect(list.nextUpdate?.getTime()).toBe(atMs + listLifeMs);
  });

  it("takes for ten times as many entries not much more than ten times as long", async () => {
    const authority = await parseAuthority(await createAuthorityPair(nowMs));
    const time = async (count: number): Promise<number> => {
      const revoked = Array.from({ length: count }, (_, index) => ({ serial: `01${index}`, endedAtMs: nowMs }));
      const startedMs = performance.now();
      await createRevocationList(authority, { revoked, nowMs });
      return performance.now() - startedMs;
    };
    await time(2_000);
    const few = await time(4_000);
    // The square of it would be a hundred times as long.
    expect(await time(40_000)).toBeLessThan(40 * few);
  });
});
