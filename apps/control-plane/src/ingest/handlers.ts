import { namelessInstance, reopenBaseline } from "@fairlead/integrity";
import { limits, type TelemetryMessage } from "@fairlead/protocol";
import { announce, changeDevice, type Batch } from "./batch.ts";
import { appraiseEvidence } from "../devices/appraise-evidence.ts";
import { noteSighting, toChainSightings } from "./identity-guard.ts";
import { toPlaneTimeMs } from "./plane-time.ts";
import { toReportedRefusal } from "./reported-refusal.ts";
import { toAsker, toSender, type DeviceMessage, type Received } from "./parse-message.ts";

const keepEvidence = 50;
const keepDeadLetters = 100;

type Handler<Kind extends DeviceMessage["kind"]> = (
  batch: Batch,
  received: Received,
  message: Extract<DeviceMessage, { kind: Kind }>,
) => Promise<void>;

const onBirth: Handler<"birth"> = async (batch, received, { body }) => {
  const { device, receivedMs } = received;
  const before = batch.devices.get(device);
  const skewMs = body.tsMs - receivedMs;
  const isUpgraded = before?.birth !== null && before?.birth.agentVersion !== body.agentVersion;
  await changeDevice(batch, device, {
    birth: body,
    birthAtMs: receivedMs,
    session: body.session,
    online: true,
    profile: body.profile,
    epoch: body.epoch,
    clockSkewMs: skewMs,
    // Another agent version has other files: what it sends first is recorded anew, and the audit log says so. What people
    // configure stays as it was accepted.
    ...(isUpgraded ? { fileBaseline: reopenBaseline(before?.fileBaseline ?? null, ["software"]) } : {}),
  });
  if (before !== undefined && isUpgraded) {
    await batch.services.audit.append(batch.tx, {
      ...{ ...toAsker(received), action: "device.agent-changed", subject: device },
      reason: "another agent version reported; its files are recorded anew",
      change: { before: before.birth?.agentVersion ?? null, after: body.agentVersion },
    });
  }
  // It says so itself: whoever gave a token to one kind of board should see that the device calls itself another.
  if (before !== undefined && before.profile !== body.profile) {
    await batch.services.audit.append(batch.tx, {
      ...{ ...toAsker(received), action: "device.profile-changed", subject: device },
      reason: "the device says that it is another kind of board than before",
      change: { before: before.profile, after: body.profile },
    });
  }
  const wasSkewed = Math.abs(before?.clockSkewMs ?? 0) > limits.clockSkewMs;
  if (Math.abs(skewMs) > limits.clockSkewMs && !wasSkewed) await noteSkew(batch, received, skewMs);
  // Whoever leaves it out is not left out of the count.
  const { instance = namelessInstance, session } = body;
  await noteSighting(batch, received, {
    kind: "birth",
    ...{ instance, session, address: received.address, atMs: receivedMs },
  });
  await batch.services.desired.converge(batch.tx, device, body.generation);
  for (const hooks of batch.services.hooks()) await hooks.onBirth?.(batch.tx, device, body);
  await announce(batch, device);
};

const onStatus: Handler<"status"> = async (batch, { device }, { body }) => {
  const row = batch.devices.get(device);
  // A late will speaks for a session that is over.
  if (!body.online && row?.session !== body.session) return;
  if (row?.online === body.online && row.session === body.session) return;
  await changeDevice(batch, device, { online: body.online, session: body.session });
  await announce(batch, device);
};

const onReported: Handler<"reported"> = async (batch, { device, receivedMs }, { body }) => {
  const row = batch.devices.get(device);
  const isOlder = row?.reportedEpoch === body.epoch && (row.reportedRevision ?? 0) >= body.revision;
  if (isOlder) return;
  await changeDevice(batch, device, {
    reported: body,
    reportedEpoch: body.epoch,
    reportedRevision: body.revision,
    reportedAtMs: receivedMs,
  });
  for (const hooks of batch.services.hooks()) await hooks.onReported?.(batch.tx, device, body);
  await batch.services.stream.emit(batch.tx, "device", device);
};

const skewAction = "device.clock-skew";
const noteAgainAfterMs = 3_600_000;

/**
 * Nothing is measured in the future: a window that ends there was measured by a clock that was wrong then. The clock may
 * be right by now, so the device's skew stays what its birth said; the window is placed at its receipt, and said once an hour.
 */
async function noteFuture(batch: Batch, received: Received, t1Ms: number): Promise<void> {
  const { device, receivedMs } = received;
  const known = Math.max(0, batch.devices.get(device)?.clockSkewMs ?? 0);
  const skewMs = t1Ms - receivedMs;
  if (skewMs - known <= limits.clockSkewMs || batch.futureNoted.has(device)) return;
  batch.futureNoted.add(device);
  const lately = await batch.tx.audit.list({ subject: device, limit: 50 });
  if (lately.some(({ action, tsMs }) => action === skewAction && tsMs > receivedMs - noteAgainAfterMs)) return;
  await noteSkew(batch, received, skewMs);
}

async function noteSkew(batch: Batch, received: Received, skewMs: number): Promise<void> {
  await batch.services.refusals.append(batch.tx, {
    ...{ ...toAsker(received), action: skewAction, subject: received.device },
    reason: "the device's clock is wrong; its telemetry is placed by ours",
    details: { skewMs, limitMs: limits.clockSkewMs },
  });
  const sender = toSender(received);
  for (const hooks of batch.services.hooks()) await hooks.onEvent?.(batch.tx, sender, { kind: "clock-skew", skewMs });
}

const onTelemetry: Handler<"telemetry"> = async (batch, received, message) => {
  const body: TelemetryMessage = message.body;
  const { device, receivedMs } = received;
  const { epoch, seq } = body;
  await noteFuture(batch, received, Math.max(...body.windows.map(({ t1Ms }) => t1Ms)));
  const skewMs = batch.devices.get(device)?.clockSkewMs ?? 0;
  for (const [position, window] of body.windows.entries()) {
    const { t0Ms, t1Ms, mergedWindows, host, energy } = window;
    const shared = { device, epoch, seq, t0Ms, t1Ms, atMs: toPlaneTimeMs(t1Ms, { skewMs, receivedMs }), receivedMs };
    batch.hosts.push({ ...shared, position, mergedWindows, host, energy });
    for (const [index, slot] of window.slots.entries()) {
      const { model, version, buildDigest } = slot;
      const row = { slot: slot.slot, model, version, buildDigest, window: slot, energyMethod: energy.method };
      batch.slots.push({ ...shared, ...row, position: position * 64 + index });
    }
  }
  for (const hooks of batch.services.hooks()) await hooks.onTelemetry?.(batch.tx, body.windows);
};

const onEvent: Handler<"event"> = async (batch, received, { body }) => {
  const { device, receivedMs } = received;
  const { epoch, seq, tsMs, event } = body;
  await batch.tx.events.add({ device, epoch, seq, kind: event.data.kind, tsMs, receivedMs, event });
  const told = toReportedRefusal(event.data);
  if (told !== null) await batch.services.refusals.append(batch.tx, { ...toAsker(received), subject: device, ...told });
  for (const hooks of batch.services.hooks()) await hooks.onEvent?.(batch.tx, toSender(received), event.data);
  await batch.services.stream.emit(batch.tx, "device", device);
};

const onEvidence: Handler<"evidence"> = async (batch, received, { body }) => {
  const { device, receivedMs } = received;
  const row = batch.devices.get(device);
  if (row === undefined) return;
  const { epoch, seq, evidence } = body;
  const slots = await batch.tx.devices.listSlots(device);
  for (const sighting of toChainSightings(row, evidence, receivedMs)) await noteSighting(batch, received, sighting);
  const { appraisal, change } = appraiseEvidence(row, slots, { evidence, nowMs: receivedMs });
  const link = { device, epoch, seq, chainIndex: evidence.index, receivedMs, evidence, verdict: appraisal };
  await batch.tx.evidence.add(link, keepEvidence);
  await changeDevice(batch, device, change);
  if (change.integrity !== undefined && change.integrity !== row.integrity) {
    await batch.services.audit.append(batch.tx, {
      ...{ actor: "plane:integrity", from: toSender(received).from },
      action: `device.integrity-${appraisal.state}`,
      subject: device,
      reason: appraisal.reason ?? "every measured file is as expected",
      change: { before: row.integrity, after: change.integrity },
      details: {
        code: appraisal.code,
        link: evidence.index,
        failing: appraisal.failing.slice(0, 16),
      },
    });
    await announce(batch, device);
  }
  for (const hooks of batch.services.hooks()) await hooks.onEvidence?.(batch.tx, device, evidence);
};

const onReply: Handler<"reply"> = async (batch, received, { body }) => {
  for (const hooks of batch.services.hooks()) await hooks.onReply?.(batch.tx, toSender(received), body);
};

const onDead: Handler<"dead"> = async (batch, received, message) => {
  const { device, topic, receivedMs, sizeBytes, head } = received;
  const { code, reason } = message;
  await batch.tx.deadLetters.add({ device, topic, code, reason, sizeBytes, head, receivedMs }, keepDeadLetters);
  await batch.tx.devices.countDeadLetter(device);
  await batch.services.refusals.append(batch.tx, {
    ...{ ...toAsker(received), action: "message.refuse", subject: topic, reason: code },
    details: { message: reason, sizeBytes },
  });
};

/** A message kind without a handler does not compile. */
export const handlers: { readonly [Kind in DeviceMessage["kind"]]: Handler<Kind> } = {
  birth: onBirth,
  status: onStatus,
  reported: onReported,
  telemetry: onTelemetry,
  event: onEvent,
  evidence: onEvidence,
  reply: onReply,
  dead: onDead,
};
