import type { Reported, RunningBuild, SlotReport } from "@fairlead/protocol";
import type { SlotView } from "../models/slot-ports.ts";
import type { InstalledBuild } from "../models/slot-record.ts";
import type { ServingAddress } from "../serve/ipc.ts";

function toRunningBuild(build: InstalledBuild | null): RunningBuild | null {
  if (build === null) return null;
  const { releaseId, model, version, artifact } = build;
  return { releaseId, model, version, buildDigest: artifact.digest };
}

function toNotServingReason({ record, trouble }: SlotView): string {
  const reason =
    record.stopped?.reason ??
    trouble ??
    (record.active === null ? "no build is installed" : "the build is being loaded");
  return reason.slice(0, 256) || "stopped";
}

function toPlacement(view: SlotView): SlotReport["placement"] {
  if (view.placement === null) return null;
  const { requestedProviders, shares, proof } = view.placement;
  return {
    requested: requestedProviders.slice(0, 8).map((name) => name.slice(0, 32)),
    proved: shares === null ? null : { ...shares },
    reason: proof.slice(0, 200),
  };
}

function toShadow({ record, shadowing }: SlotView): SlotReport["shadow"] {
  const { candidate } = record;
  const build = toRunningBuild(candidate?.build ?? null);
  return shadowing && build !== null && candidate?.shadow !== undefined
    ? { ...build, share: candidate.shadow.share }
    : null;
}

export function toSlotReport(view: SlotView): SlotReport {
  const { record } = view;
  const serving = view.served !== null;
  return {
    slot: record.slot,
    active: toRunningBuild(record.active),
    previous: toRunningBuild(record.previous),
    serving,
    notServingReason: serving ? null : toNotServingReason(view),
    placement: toPlacement(view),
    shadow: toShadow(view),
    choice: view.choice ?? null,
    job: record.job === null ? null : { ...record.job, progressRatio: toRatio(view.progressRatio) },
  };
}

function toRatio(ratio: number | null): number | null {
  return ratio === null ? null : Math.min(1, Math.max(0, ratio));
}

export function toEndpoint(address: ServingAddress | null): string | null {
  if (address === null) return null;
  if (address.kind === "unix") return `unix:${address.socketPath}`.slice(0, 256);
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return `http://${host}:${address.port}`;
}

/** What `toEndpoint` wrote. @throws TypeError when it did not */
export function fromEndpoint(endpoint: string): ServingAddress {
  if (endpoint.startsWith("unix:")) return { kind: "unix", socketPath: endpoint.slice("unix:".length) };
  const { hostname, port } = new URL(endpoint);
  return { kind: "tcp", host: hostname.replace(/^\[|\]$/gu, ""), port: Number(port) };
}

export interface ReportParts {
  readonly epoch: string;
  readonly revision: number;
  readonly tsMs: number;
  readonly generation: number;
  readonly refusal: Reported["refusal"];
  readonly views: readonly SlotView[];
  readonly address: ServingAddress | null;
}

export function toReported(parts: ReportParts): Reported {
  const { views, address, ...rest } = parts;
  return { v: 1, ...rest, slots: views.slice(0, 64).map(toSlotReport), inferenceEndpoint: toEndpoint(address) };
}
