import { isDeepStrictEqual } from "node:util";
import { noSightings, verifyChain, watchIdentity, type CloneFinding, type IdentitySighting } from "@fairlead/integrity";
import type { Evidence } from "@fairlead/protocol";
import type { Device } from "@fairlead/store";
import { clonedAlert, suppressedClonesAlert } from "../alerts/kinds.ts";
import { announce, changeDevice, type Batch } from "./batch.ts";
import { cloneCoolDownMs, judgeCloneBrake, type CloneBrake } from "./clone-brake.ts";
import { toSender, type Received } from "./parse-message.ts";
import type { Position } from "./sequence.ts";

/** Takes the device out of rollouts; what was found stays until an operator has it enrolled with another key. */
async function quarantine(
  batch: Batch,
  device: Device,
  { finding, from }: { readonly finding: CloneFinding; readonly from: string },
): Promise<void> {
  const { tx, services } = batch;
  const name = device.device;
  const summary = `${finding.reason}: ${finding.evidence.join("; ")}`;
  if (device.lifecycle === "enrolled")
    await changeDevice(batch, name, { lifecycle: "quarantined", revision: device.revision + 1 });
  await services.alerts.fire(tx, { kind: clonedAlert, device: name, summary, remediationId: null });
  await services.audit.append(tx, {
    ...{ actor: "plane:integrity", from, action: "device.clone-detected", subject: name, reason: finding.reason },
    change: {
      before: device.lifecycle,
      after: device.lifecycle === "enrolled" ? "quarantined" : device.lifecycle,
    },
    details: { code: finding.code, evidence: finding.evidence },
  });
  await announce(batch, name);
}

async function findBrake(
  { tx }: Batch,
  { lifecycle, releasedAtMs }: Device,
  nowMs: number,
): Promise<CloneBrake | null> {
  // Who is held already is not put there once more.
  if (lifecycle !== "enrolled") return null;
  const held = await tx.devices.count("quarantined");
  const fleet = held + (await tx.devices.count("enrolled"));
  return judgeCloneBrake({ fleet, held, releasedAtMs, nowMs });
}

/** Nothing is done to the device; a person hears of it once, and the log keeps what was seen. */
async function suppress(
  batch: Batch,
  device: string,
  { finding, from, brake }: { readonly finding: CloneFinding; readonly from: string; readonly brake: CloneBrake },
): Promise<void> {
  const { tx, services } = batch;
  const { code, evidence, reason } = finding;
  await services.audit.append(tx, {
    ...{ actor: "plane:integrity", from, action: "device.clone-suppressed", subject: device, change: null },
    reason: `${reason}; ${brake.reason}`,
    details: { code, evidence, brake: brake.code, ...brake.numbers },
  });
  if ((await tx.alerts.listFiring({ kind: suppressedClonesAlert })).length > 0) return;
  const summary =
    `${device} and perhaps others seem to be used twice, and stay enrolled: ${brake.reason}. Was the plane's database ` +
    `restored, or are these copies? See: fairlead audit list, action device.clone-suppressed`;
  await services.alerts.fire(tx, { kind: suppressedClonesAlert, device: null, summary, remediationId: null });
}

/** Adds to what is known of a device's identity, and acts on the first proof that it is used twice. */
export async function noteSighting(
  batch: Batch,
  received: Pick<Received, "address" | "device">,
  sighting: IdentitySighting,
): Promise<void> {
  const { device: name, from } = toSender(received);
  const device = batch.devices.get(name);
  if (device === undefined) return;
  const before = device.identityWatch ?? noSightings;
  const watch = watchIdentity(before, sighting);
  if (watch === before) return;
  const { finding } = watch;
  if (finding === null || before.finding !== null) return await changeDevice(batch, name, { identityWatch: watch });
  const { suppressedAtMs } = watch;
  const isResting = suppressedAtMs !== undefined && sighting.atMs - suppressedAtMs < cloneCoolDownMs;
  const brake = isResting ? null : await findBrake(batch, device, sighting.atMs);
  if (!isResting && brake === null) {
    await changeDevice(batch, name, { identityWatch: watch });
    return await quarantine(batch, device, { finding, from });
  }
  // Without the finding, so that the next sign after the rest is judged anew.
  const left = { ...watch, finding: null, ...(brake === null ? {} : { suppressedAtMs: sighting.atMs }) };
  if (isDeepStrictEqual(left, before)) return;
  await changeDevice(batch, name, { identityWatch: left });
  if (brake !== null) await suppress(batch, name, { finding, from, brake });
}

/** Which queue of the device speaks: it needs no word of an agent about itself, and nobody can speak without naming one. */
export async function noteEpoch(batch: Batch, received: Received): Promise<void> {
  const { address, message, receivedMs } = received;
  if (message.kind === "dead" || message.kind === "status") return;
  await noteSighting(batch, received, { kind: "epoch", epoch: message.body.epoch, address, atMs: receivedMs });
}

/** What a link of the evidence chain says of the identity, against the last one that was accepted. */
export function toChainSightings(device: Device, evidence: Evidence, atMs: number): IdentitySighting[] {
  const { chainIndex, chainHead } = device;
  if (chainIndex === null || chainHead === null) return [];
  const replaced = { index: chainIndex, head: chainHead };
  const verdict = verifyChain(replaced, evidence);
  if (verdict.kind === "altered" || verdict.kind === "replay") return [];
  const { index, previous } = evidence;
  const link: IdentitySighting = { kind: "chain-link", index, previous, atMs };
  // One that begins again at nothing has lost its past, and will not go on from it: whoever does has not lost it.
  return verdict.kind === "fork" ? [link, { kind: "chain-fork", replaced, atMs }] : [link];
}

/** How the message differs from what is stored in its place; null when it does not, or when that is not known any more. */
async function toDifference(batch: Batch, { message }: Received, at: Position): Promise<string | null> {
  const { tx } = batch;
  const spans = await tx.telemetry.listSpans(at);
  const event = await tx.events.find(at);
  const link = await tx.evidence.find(at);
  const stored =
    spans.length > 0 ? "telemetry" : event !== undefined ? "event" : link !== undefined ? "evidence" : null;
  if (stored === null || message.kind === "dead") return null;
  if (stored !== message.kind) return `${stored} is stored, and now it is ${message.kind}`;
  switch (message.kind) {
    case "telemetry": {
      const now = message.body.windows.map(({ t0Ms, t1Ms }) => ({ t0Ms, t1Ms }));
      return isDeepStrictEqual(
        now,
        spans.map(({ t0Ms, t1Ms }) => ({ t0Ms, t1Ms })),
      )
        ? null
        : "windows of another time are stored";
    }
    case "event":
      return isDeepStrictEqual(message.body.event, event?.event) ? null : "another event is stored";
    case "evidence":
      return message.body.evidence.head === link?.evidence.head ? null : "another link of evidence is stored";
    default:
      return null;
  }
}

/** A message whose place in the queue is taken: a redelivery says the same again, and a copy of the device does not. */
export async function noteRepeated(batch: Batch, received: Received, at: Position): Promise<void> {
  const what = await toDifference(batch, received, at);
  if (what === null) return;
  const { epoch, seq } = at;
  await noteSighting(batch, received, { kind: "sequence-fork", epoch, seq, what, atMs: received.receivedMs });
}
