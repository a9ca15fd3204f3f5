import { randomUUID } from "node:crypto";
import type { Clock } from "@fairlead/kernel";
import type { Revocations } from "@fairlead/protocol";
import type { Store } from "@fairlead/store";
import type { Authority } from "../authority/certificates.ts";
import { createRevocationList, listLifeMs } from "../authority/revocation-list.ts";

/** A list is signed anew after this, also when nothing was revoked: whoever asks never gets one that is about to end. */
const signedAnewMs = 86_400_000;
/** A list that takes longer is not made again before it is twenty times as old: it may not take more of the plane's thread. */
const quickMs = 250;
const longRest = 20;

export interface RevocationOptions {
  readonly store: { readonly read: Pick<Store["read"], "deviceCertificates"> };
  readonly clock: Clock;
  readonly authority: Authority;
}

export interface SignedRevocations {
  readonly body: Revocations;
  /** Of this list and no other. */
  readonly etag: string;
}

export interface RevocationReader {
  /** What a broker that does not ask the plane at each connection has to refuse. */
  read(): Promise<SignedRevocations>;
}

interface Made extends SignedRevocations {
  readonly state: string;
  /** Monotonic milliseconds. */
  readonly madeMs: number;
  readonly tookMs: number;
}

/** Brokers ask every few seconds and revocations are rare, so the last list that was signed is kept. */
export function createRevocations({ store, clock, authority }: RevocationOptions): RevocationReader {
  const { deviceCertificates } = store.read;
  let last: Made | null = null;

  const make = async (state: string): Promise<Made> => {
    const [nowMs, startedMs] = [clock.nowMs(), clock.monotonicMs()];
    const revoked = await deviceCertificates.listEnded(nowMs);
    const devices = await deviceCertificates.listEndedDevices(nowMs);
    const crl = await createRevocationList(authority, { revoked, nowMs });
    const madeMs = clock.monotonicMs();
    const body = { crl, nextUpdateMs: nowMs + listLifeMs, devices };
    return { body, etag: randomUUID(), state, madeMs, tookMs: madeMs - startedMs };
  };
  const mayStay = ({ state, madeMs, tookMs }: Made, now: string): boolean => {
    const ageMs = clock.monotonicMs() - madeMs;
    return ageMs < (state === now ? signedAnewMs : tookMs < quickMs ? 0 : longRest * tookMs);
  };
  return {
    read: async () => {
      const state = await deviceCertificates.getState();
      if (last === null || !mayStay(last, state)) last = await make(state);
      return last;
    },
  };
}
