import { createHash } from "node:crypto";
import type { Clock } from "@fairlead/kernel";
import type { Revocations } from "@fairlead/protocol";
import type { Store } from "@fairlead/store";
import type { Authority } from "../authority/certificates.ts";
import { createRevocationList, listLifeMs } from "../authority/revocation-list.ts";

/** A list is signed anew after this, also when nothing was revoked: whoever asks never gets one that is about to end. */
const signedAnewMs = 86_400_000;

export interface RevocationOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly authority: Authority;
}

export interface RevocationReader {
  /** What a broker that does not ask the plane at each connection has to refuse. `etag` changes when `body` says something else. */
  read(): Promise<{ readonly body: Revocations; readonly etag: string }>;
}

/** Brokers ask every few seconds and revocations are rare, so the last list that was signed is kept. */
export function createRevocations({ store, clock, authority }: RevocationOptions): RevocationReader {
  let last: { readonly body: Revocations; readonly etag: string; readonly signedAtMs: number } | null = null;
  return {
    read: async () => {
      const nowMs = clock.nowMs();
      const { deviceCertificates } = store.read;
      const revoked = await deviceCertificates.listEnded(nowMs);
      const devices = await deviceCertificates.listEndedDevices(nowMs);
      const isFresh = last !== null && nowMs >= last.signedAtMs && nowMs < last.signedAtMs + signedAnewMs;
      const signedAtMs = isFresh && last !== null ? last.signedAtMs : nowMs;
      const says = JSON.stringify([signedAtMs, devices, revoked.map(({ serial }) => serial)]);
      const etag = createHash("sha256").update(says, "utf8").digest("hex").slice(0, 32);
      if (last?.etag === etag) return last;
      const crl = await createRevocationList(authority, { revoked, nowMs });
      last = { body: { crl, nextUpdateMs: nowMs + listLifeMs, devices }, etag, signedAtMs };
      return last;
    },
  };
}
