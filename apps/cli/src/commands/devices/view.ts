import type {
  Birth,
  ChangedFile,
  DeviceDetail,
  DeviceSummary,
  ExponentialHistogramData,
  Labels,
  Placement,
  SlotChoice,
  SlotWindow,
} from "@fairlead/protocol";
import { toQuantile } from "@fairlead/telemetry";
import type { ListView, Output } from "../../output/output.ts";
import { toDurationText } from "../../parse-duration.ts";

export const toLabelText = (labels: Labels): string =>
  Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(",") || "-";

const toRunning = (device: DeviceSummary): string =>
  device.slots
    .map((slot) => {
      const running = slot.running === null ? "empty" : `${slot.running.model} ${slot.running.version}`;
      return `${slot.slot}: ${running}${slot.serving ? "" : " (not serving)"}`;
    })
    .join("; ") || "-";

export function toDeviceView(out: Output): ListView<DeviceSummary> {
  return {
    name: (device) => device.device,
    empty: "no devices: fairlead enrolments create-token makes a token for the first one",
    columns: [
      { title: "DEVICE", cell: (device) => device.device },
      { title: "LIFECYCLE", cell: (device) => device.lifecycle },
      { title: "LINK", cell: (device) => (device.online ? "online" : "offline") },
      { title: "INTEGRITY", cell: (device) => device.integrity },
      { title: "SLOTS", cell: toRunning },
      { title: "STATUS", cell: (device) => [...new Set(device.slots.map((slot) => slot.status))].join(",") || "-" },
      { title: "SEEN", cell: (device) => out.toAge(device.lastSeenMs) },
      { title: "PROFILE", cell: (device) => device.profile, wide: true },
      { title: "KEY", cell: (device) => device.assurance, wide: true },
      { title: "LABELS", cell: (device) => toLabelText(device.labels), wide: true },
    ],
  };
}

const toCelsius = (detail: DeviceDetail): string => {
  const reading = detail.lastWindow?.host.temperatureC;
  return reading === undefined || reading.value === null ? "unknown" : `${reading.value} °C`;
};

function toPlacementText({ requested, proved, reason }: Placement): string {
  const shares = Object.entries(proved ?? {})
    .toSorted(([, left], [, right]) => right - left)
    .map(([provider, share]) => `${provider} ${Math.round(share * 1_000) / 10} %`);
  const where = proved === null ? "not proved" : `proved: ${shares.join(", ")} of node time`;
  return `${where}; asked for ${requested.join(", ")}${reason === null ? "" : ` (${reason})`}`;
}

/** Where the device's private key is, as far as that was proved. */
function toKeyText({ assurance, endorsement }: DeviceDetail): string {
  switch (assurance) {
    case "software":
      return "software: in a file";
    case "tpm":
      return "tpm: in a TPM for which nobody vouches";
    case "tpm-endorsed":
      return `tpm-endorsed: in the TPM with the endorsement key ${endorsement ?? "that was removed"}`;
  }
}

/** What the device does by its own policy when nobody tells it any more what is newest. */
export function toFreshnessText(inventory: Birth["inventory"] | undefined): string {
  const limitMs = inventory?.["trust.maxStaleServeMs"];
  if (limitMs === undefined) return "its policy is not known: the agent does not say it";
  if (typeof limitMs !== "number") return "serves on for ever when nobody says what is newest";
  const then = inventory?.["trust.onStale"] === "alarm" ? "serves on and says so" : "stops serving";
  return `serves on for ${toDurationText(limitMs)} after the last statement of what is newest has ended, then ${then}`;
}

/** A configuration file, what it was and what it is. */
export function toChangeText({ name, before, after }: ChangedFile): string {
  return `${name}, ${before ?? "which was not there"} → ${after ?? "gone"}`;
}

export function describeDevice(detail: DeviceDetail, out: Output): string[] {
  const lines = [
    `device       ${detail.device}`,
    `lifecycle    ${detail.lifecycle}, ${detail.online ? "online" : "offline"}, seen ${out.toAge(detail.lastSeenMs)}`,
    `profile      ${detail.profile}`,
    `labels       ${toLabelText(detail.labels)}`,
    `integrity    ${detail.integrity}${detail.integrityReason === null ? "" : `: ${detail.integrityReason}`}`,
    `enrolled     ${detail.enrolledAtMs === null ? "not yet" : new Date(detail.enrolledAtMs).toISOString()}`,
    `certificate  ${detail.certificateNotAfterMs === null ? "none" : `valid until ${new Date(detail.certificateNotAfterMs).toISOString()}`}`,
    `key          ${toKeyText(detail)}`,
    `agent        ${detail.birth?.agentVersion ?? "not heard of yet"}`,
    `freshness    ${toFreshnessText(detail.birth?.inventory)}`,
    `clock        ${detail.clockSkewMs === null ? "not compared yet" : `${detail.clockSkewMs} ms from the plane's`}`,
    `temperature  ${toCelsius(detail)}`,
    `inference    ${detail.reported?.inferenceEndpoint ?? "no endpoint reported"}`,
    `telemetry    stored up to ${detail.telemetry.storedUpTo}, ${detail.telemetry.gaps} gaps, ${detail.telemetry.deadLetters} dead letters`,
  ];
  lines.push(...describeChanges(detail), ...describeClone(detail), ...describeEnd(detail));
  for (const slot of detail.slots) {
    const desired = slot.desired === null ? "nothing" : `${slot.desired.model} ${slot.desired.version}`;
    const running = slot.running === null ? "nothing" : `${slot.running.model} ${slot.running.version}`;
    lines.push(
      `slot         ${slot.slot}: wants ${desired}, runs ${running}${slot.serving ? "" : " (not serving)"}, ${slot.status}`,
    );
    const idleReason = detail.reported?.slots.find((report) => report.slot === slot.slot)?.notServingReason ?? null;
    if (!slot.serving && idleReason !== null) lines.push(`             not serving: ${idleReason}`);
    const placement = detail.reported?.slots.find((report) => report.slot === slot.slot)?.placement ?? null;
    if (placement !== null) lines.push(`             placement ${toPlacementText(placement)}`);
    lines.push(...describeShadow(slot.slot, detail));
    if (slot.job !== null)
      lines.push(
        `             job ${slot.job.state}${slot.job.code === null ? "" : ` ${slot.job.code}`}${slot.job.reason === null ? "" : `: ${slot.job.reason}`}`,
      );
  }
  for (const { slot, choice } of detail.reported?.slots ?? []) if (choice) lines.push(...describeChoice(slot, choice));
  return lines;
}

/** What of the configuration is not as it was accepted last. */
function describeChanges({ device, changedConfiguration }: DeviceDetail): string[] {
  if (changedConfiguration.length === 0) return [];
  return [
    ...changedConfiguration.map((file) => `changed      ${toChangeText(file)}`),
    `             if you changed it: fairlead devices release ${device} --accept-config --reason TEXT`,
  ];
}

/** What speaks for two devices with this identity. */
function describeClone({ cloned, lifecycle }: DeviceDetail): string[] {
  if (cloned === null) return [];
  const next = lifecycle === "quarantined" ? "; fairlead devices release ends this" : "";
  return [
    `cloned       ${cloned.reason} (${cloned.code}), found ${new Date(cloned.foundAtMs).toISOString()}${next}`,
    ...cloned.evidence.map((fact) => `             ${fact}`),
  ];
}

/** How the device was or is being let go. */
function describeEnd({ decommission }: DeviceDetail): string[] {
  if (decommission === null) return [];
  const { requestedBy, requestedAtMs, reason, endedAtMs, wipe } = decommission;
  const wiped = {
    pending: "it has not said yet that it is empty",
    confirmed: "it said that it is empty",
    unconfirmed: "nobody knows whether anything was removed from it",
  }[wipe];
  const end = endedAtMs === null ? "asked" : `ended ${new Date(endedAtMs).toISOString()}`;
  return [`leaving      ${end}, by ${requestedBy} at ${new Date(requestedAtMs).toISOString()}: ${reason}; ${wiped}`];
}

const toMilliseconds = (data: ExponentialHistogramData): string => {
  const us = toQuantile(data, 0.95);
  return us === null ? "unknown" : `${(us / 1_000).toFixed(2)} ms`;
};

/** What runs beside the slot's active build, and how the two compared in the last window. */
function describeShadow(slot: string, { reported, lastWindow }: DeviceDetail): string[] {
  const shadow = reported?.slots.find((report) => report.slot === slot)?.shadow ?? null;
  if (shadow === null) return [];
  const lines = [`             shadow ${shadow.model} ${shadow.version} on ${shadow.share * 100} % of requests`];
  const windows = lastWindow?.slots.filter((window) => window.slot === slot) ?? [];
  const mine = windows.find(({ buildDigest }) => buildDigest === shadow.buildDigest);
  const active = windows.find(({ buildDigest }) => buildDigest !== shadow.buildDigest);
  const seen = mine?.shadow ?? null;
  if (mine === undefined || seen === null) return lines;
  const joules = (window: SlotWindow | undefined) => window?.joulesPerInference.value?.toPrecision(3) ?? "unknown";
  lines.push(
    `             last window: agreed on ${seen.agreed} of ${seen.compared}, ${seen.skipped} skipped; ` +
      `run p95 ${toMilliseconds(mine.latencyUs)} against ${toMilliseconds(seen.activeLatencyUs)}; ` +
      `J/inference ${joules(mine)} against ${joules(active)}`,
  );
  return lines;
}

function describeChoice(slot: string, choice: SlotChoice): string[] {
  const { objective, accuracyFloor } = choice.policy;
  const floor = accuracyFloor === null ? "no floor" : `accuracy at least ${accuracyFloor}`;
  const source = choice.cached ? ", numbers of before" : "";
  return [
    `choice       ${slot}: ${choice.state} by ${objective}, ${floor} (${choice.policyFrom})${source}`,
    ...choice.candidates.map((one) => {
      const latency =
        one.latencyUs === null ? "-" : `p50 ${one.latencyUs.p50.toFixed(1)} µs p99 ${one.latencyUs.p99.toFixed(1)} µs`;
      const joules = one.joulesPerInference.value?.toPrecision(3) ?? "unknown";
      const accuracy = one.accuracyRatio === null ? "-" : `${(one.accuracyRatio * 100).toFixed(1)} %`;
      const energy = `${joules} J/inference ${one.energyMethod ?? ""}`.trimEnd();
      return `             ${one.buildDigest.slice(7, 19)} ${one.precision}  ${latency}  ${energy}  accuracy ${accuracy}  ${one.verdict}: ${one.reason}`;
    }),
  ];
}
