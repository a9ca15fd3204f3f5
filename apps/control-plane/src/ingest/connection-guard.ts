import { noSightings, watchIdentity, type IdentitySighting } from "@fairlead/integrity";
import { toErrorMessage, type Clock, type Logger } from "@fairlead/kernel";
import type { Store } from "@fairlead/store";
import { isAdmitted } from "../devices/certificate-in-force.ts";
import type { HandlerServices } from "./batch.ts";
import { noteSighting } from "./identity-guard.ts";

export interface ConnectionGuardOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly services: HandlerServices;
}

/** What connections say of an identity, whatever is told over them. */
export interface ConnectionGuard {
  /** A handshake proved the key of a certificate that is not in force; it is refused in any case. */
  noteRefused(device: string, fingerprint: string, fromAddress: string): Promise<void>;
  /**
   * May this connection take the session from the one that has it? Two who hold one key would do that for ever: once that
   * is known, the one who has it keeps it.
   */
  mayTakeOver(device: string, fromAddress: string): Promise<boolean>;
}

export function createConnectionGuard({ store, clock, logger, services }: ConnectionGuardOptions): ConnectionGuard {
  const note = (name: string, address: string, sighting: IdentitySighting): Promise<void> =>
    store.transaction(async (tx) => {
      const row = await tx.devices.get(name);
      if (!isAdmitted(row)) return;
      const devices = new Map([[name, row]]);
      const batch = { tx, services, devices, futureNoted: new Set<string>(), hosts: [], slots: [] };
      await noteSighting(batch, { device: name, address }, sighting);
    });
  /** Never fails: a disk that is full must keep nobody out, nor let anybody in. */
  const noteIfTelling = async (name: string, address: string, sighting: IdentitySighting): Promise<void> => {
    try {
      const watch = (await store.read.devices.get(name))?.identityWatch ?? noSightings;
      if (watchIdentity(watch, sighting) !== watch) await note(name, address, sighting);
    } catch (error) {
      logger.error("what a connection says of an identity was not kept", {
        device: name,
        kind: sighting.kind,
        error: toErrorMessage(error),
      });
    }
  };
  return {
    noteRefused: (name, fingerprint, address) =>
      noteIfTelling(name, address, { kind: "certificate-shown", fingerprint, address, atMs: clock.nowMs() }),
    mayTakeOver: async (name, address) => {
      const atMs = clock.nowMs();
      const lastSeenMs = (await store.read.devices.get(name))?.lastSeenMs ?? null;
      if (lastSeenMs !== null)
        await noteIfTelling(name, address, { kind: "takeover", silentMs: atMs - lastSeenMs, address, atMs });
      return ((await store.read.devices.get(name))?.identityWatch?.finding ?? null) === null;
    },
  };
}
