import { isDeepStrictEqual } from "node:util";
import type { SignableDocument, Signed } from "@fairlead/artifacts";
import { CodedError, toErrorMessage, type Clock, type Logger, type Service } from "@fairlead/kernel";
import { limits, toPayload, type DesiredSlot, type SignedDesiredState } from "@fairlead/protocol";
import type { DesiredSlotRow, Device, Store, Transaction } from "@fairlead/store";
import { wholeFleet } from "../authority/scope.ts";
import type { DesiredStates, DeviceLink } from "../context.ts";
import { requireDevice } from "./require-device.ts";

const lifeMs = 30 * 86_400_000;
const renewBeforeMs = 7 * 86_400_000;
const renewEveryMs = 3_600_000;
const maxKnownDigests = 128;
const maxSlots = 64;

export interface DesiredStatesOptions {
  readonly tenant: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly store: Store;
  readonly link: Pick<DeviceLink, "publish">;
  readonly apiUrl: () => string;
  readonly sign: <Document extends SignableDocument>(document: Document) => Signed<Document>;
}

export interface OpenDesiredStates extends DesiredStates, Service {
  /** After an enrolment: what was signed for the name's earlier key is signed for this one. */
  bind(tx: Transaction, device: string): Promise<void>;
  /** After a birth: publishes again when the device has another generation, and never falls behind the device's. */
  converge(tx: Transaction, device: string, deviceGeneration: number): Promise<void>;
  /** Retained documents for a broker that has just started. */
  publishAll(): Promise<void>;
}

function toSlot(row: DesiredSlotRow): DesiredSlot {
  const { slot, release, rolloutId, attempt, soakMs, shadow } = row;
  // Agents of before know no such field, and refuse a document that has it.
  return { slot, release, rolloutId, attempt, soakMs, ...(shadow === null ? {} : { shadow }) };
}

function isSame(row: DesiredSlotRow | undefined, slot: DesiredSlot): boolean {
  return (
    row !== undefined &&
    row.releaseId === (slot.release?.signed.releaseId ?? null) &&
    row.rolloutId === slot.rolloutId &&
    row.attempt === slot.attempt &&
    row.soakMs === slot.soakMs &&
    isDeepStrictEqual(row.shadow, slot.shadow ?? null)
  );
}

/** Slots that were emptied stay named, so that a device hears it, until others need their places: the oldest go first. */
function toNamed(rows: readonly DesiredSlotRow[]): readonly DesiredSlotRow[] {
  const isEmpty = ({ release, shadow }: DesiredSlotRow): boolean => release === null && shadow === null;
  const empty = rows.filter(isEmpty).toSorted((left, right) => right.updatedAtMs - left.updatedAtMs);
  const filled = rows.filter((row) => !isEmpty(row));
  return [...filled, ...empty.slice(0, Math.max(0, maxSlots - filled.length))];
}

/** What the device may be measured to have in the slot: what it said that it has, whatever it was asked for since. */
function toReportedDigests({ reported }: Pick<Device, "reported">, slot: string): readonly string[] {
  const seen = reported?.slots.find((candidate) => candidate.slot === slot);
  return [seen?.active, seen?.previous, seen?.shadow].flatMap((build) => build?.buildDigest ?? []);
}

/** @throws CodedError `desired_state_too_large`: the device's broker would refuse it, and cut the connection at each try */
function requireModestSize(document: SignedDesiredState): void {
  const bytes = toPayload(document).byteLength;
  if (bytes <= limits.mqttPayloadBytes) return;
  throw new CodedError(
    "desired_state_too_large",
    `the desired state of ${document.signed.device} takes ${bytes} bytes, and ${limits.mqttPayloadBytes} are let through`,
    { hint: "empty some of the device's slots, or roll out versions with fewer labels and builds" },
  );
}

export function createDesiredStates(options: DesiredStatesOptions): OpenDesiredStates {
  const { clock, link, logger, store, tenant } = options;
  let timer: NodeJS.Timeout | undefined;

  const publish = (document: SignedDesiredState): void => {
    link
      .publish({ kind: "down", tenant, device: document.signed.device, channel: "desired" }, document, { retain: true })
      .catch((error: unknown) => logger.warn("a desired state was not published", { error: toErrorMessage(error) }));
  };

  /** A device that knows a higher generation than we do (a restored backup) would refuse ours, so we go beyond it. */
  const issue = async (tx: Transaction, of: Pick<Device, "device" | "enrolledKey">, known: number): Promise<number> => {
    const { device, enrolledKey } = of;
    const nowMs = clock.nowMs();
    const generation = known + 1;
    const expiresAtMs = nowMs + lifeMs;
    const document = options.sign({
      type: "desired-state",
      v: 1,
      tenant,
      device,
      enrolledKey,
      generation,
      issuedAtMs: nowMs,
      expiresAtMs,
      slots: toNamed(await tx.devices.listSlots(device)).map(toSlot),
      artifactUrls: [`${options.apiUrl()}/api/v1/artifacts/{digest}`],
    });
    requireModestSize(document);
    await tx.devices.saveDesired({ device, generation, document, expiresAtMs });
    tx.afterCommit(() => publish(document));
    return generation;
  };

  const issueAnew = async (tx: Transaction, device: string): Promise<number> => {
    const before = await tx.devices.getDesired(device);
    return await issue(tx, await requireDevice(tx, device, wholeFleet), before?.generation ?? 0);
  };

  /** Signs anew what expires soon or names an address that the plane no longer has. */
  const renew = async (): Promise<void> => {
    const dueMs = clock.nowMs() + renewBeforeMs;
    const prefix = `${options.apiUrl()}/`;
    for (const row of await store.read.devices.listDesired()) {
      const isMoved = row.document.signed.artifactUrls[0]?.startsWith(prefix) !== true;
      if (isMoved || row.expiresAtMs < dueMs) await store.transaction((tx) => issueAnew(tx, row.device));
    }
  };

  return {
    name: "desired states",
    start: async () => {
      timer = setInterval(() => {
        renew().catch((error: unknown) => logger.error("desired states not renewed", { error: toErrorMessage(error) }));
      }, renewEveryMs);
      timer.unref();
    },
    stop: async () => clearInterval(timer),
    setSlots: async (tx, device, slots) => {
      const rows = new Map((await tx.devices.listSlots(device)).map((row) => [row.slot, row]));
      const changed = slots.filter((slot) => !isSame(rows.get(slot.slot), slot));
      const before = await tx.devices.getDesired(device);
      // A device that leaves is asked for nothing more, whoever still wants something of it.
      const known = await tx.devices.get(device);
      const { lifecycle } = known ?? {};
      if (lifecycle === "decommissioning" || lifecycle === "decommissioned") return before?.generation ?? 0;
      if (changed.length === 0 && before !== undefined) return before.generation;
      for (const slot of changed) {
        const digests = [slot.release, slot.shadow?.release ?? null].flatMap(
          (release) => release?.signed.content.builds.map((build) => build.artifact.digest) ?? [],
        );
        const present = known === undefined ? [] : toReportedDigests(known, slot.slot);
        const expected = new Set([...present, ...digests, ...(rows.get(slot.slot)?.knownDigests ?? [])]);
        await tx.devices.saveSlot({
          device,
          ...slot,
          shadow: slot.shadow ?? null,
          releaseId: slot.release?.signed.releaseId ?? null,
          model: slot.release?.signed.content.model ?? null,
          version: slot.release?.signed.content.version ?? null,
          knownDigests: [...expected].slice(0, maxKnownDigests),
          updatedAtMs: clock.nowMs(),
        });
      }
      return await issue(tx, known ?? (await requireDevice(tx, device, wholeFleet)), before?.generation ?? 0);
    },
    bind: async (tx, device) => {
      const desired = await tx.devices.getDesired(device);
      const known = await requireDevice(tx, device, wholeFleet);
      if (desired !== undefined && desired.document.signed.enrolledKey !== known.enrolledKey)
        await issue(tx, known, desired.generation);
    },
    converge: async (tx, device, deviceGeneration) => {
      const desired = await tx.devices.getDesired(device);
      if (desired === undefined || desired.generation === deviceGeneration) return;
      if (deviceGeneration > desired.generation)
        await issue(tx, await requireDevice(tx, device, wholeFleet), deviceGeneration);
      else tx.afterCommit(() => publish(desired.document));
    },
    publishAll: async () => {
      await renew();
      for (const row of await store.read.devices.listDesired()) publish(row.document);
    },
  };
}
