import { isJobEnd, type SlotReport } from "@fairlead/protocol";
import type {
  DeviceObservation,
  FailingMeasurement,
  RemediationCase,
  ServingCrash,
  SlotObservation,
} from "@fairlead/remediation";
import type { CommandRow, DesiredSlotRow, Device, Repositories, ServingCrashRow } from "@fairlead/store";
import { listFailingMeasurements } from "../devices/appraise-evidence.ts";
import { toDeviceTrouble } from "./set-aside.ts";
import { toPlaneTimeMs } from "../ingest/plane-time.ts";

interface Facts {
  readonly rows: readonly DesiredSlotRow[];
  readonly crashes: readonly ServingCrashRow[];
  readonly commands: readonly CommandRow[];
  /** Of the artifacts that the device may run, by digest. */
  readonly sizes: ReadonlyMap<string, number>;
  readonly listeningSinceMs: number;
}

/** Size of the artifact with that digest among what the plane ever asked the slot to run; null when it is none of them. */
function toSizeBytes(
  digest: string | null,
  { row, sizes }: { readonly row: DesiredSlotRow | undefined; readonly sizes: Facts["sizes"] },
): number | null {
  if (row === undefined || digest === null) return null;
  const build = row.release?.signed.content.builds.find(({ artifact }) => artifact.digest === digest);
  if (build !== undefined) return build.artifact.sizeBytes;
  // A device that went back by itself runs what an earlier release asked for.
  return row.knownDigests.includes(digest) ? (sizes.get(digest) ?? null) : null;
}

function toFailing(device: Device, { rows, sizes }: Pick<Facts, "rows" | "sizes">): FailingMeasurement[] {
  return listFailingMeasurements(device, rows).map((measurement) => {
    const slot = measurement.kind === "model" ? (/^slot\/([^/]+)$/u.exec(measurement.name)?.[1] ?? null) : null;
    const active = device.reported?.slots.find((report) => report.slot === slot)?.active?.buildDigest ?? null;
    const expected = measurement.expected ?? active;
    const row = rows.find((candidate) => candidate.slot === slot);
    return { ...measurement, slot, expected, sizeBytes: toSizeBytes(expected, { row, sizes }) };
  });
}

function toMissedPlacement({ placement }: SlotReport): SlotObservation["missedPlacement"] {
  const wanted = placement?.requested[0] ?? "cpu";
  // What is not proved is not known, and an alert needs a fact.
  if (placement === null || placement.proved === null || wanted === "cpu") return null;
  return (placement.proved[wanted] ?? 0) > 0 ? null : { wanted, reason: placement.reason ?? "no reason was given" };
}

/**
 * The device has ended what it was last asked for. While a rollout's newer request is on its way to it, what it runs is
 * that rollout's affair: a revert by remediation beside it would send the slot back and forth, or leave the two apart.
 */
export function isConfirmed(
  job: Pick<NonNullable<SlotReport["job"]>, "state" | "rolloutId" | "attempt"> | null,
  asked: Pick<DesiredSlotRow, "rolloutId" | "attempt"> | undefined,
): boolean {
  if (job === null) return true;
  if (!isJobEnd(job.state)) return false;
  if (asked === undefined || asked.rolloutId === null) return true;
  return job.rolloutId === asked.rolloutId && job.attempt === asked.attempt;
}

export function toObservation(
  device: Device,
  { rows, crashes, commands, sizes, listeningSinceMs }: Facts,
): DeviceObservation {
  return {
    device: device.device,
    lifecycle: device.lifecycle,
    doubted: (device.identityWatch?.finding ?? null) !== null,
    online: device.online,
    lastSeenMs: device.lastSeenMs,
    listeningSinceMs,
    integrity: {
      state: device.integrity,
      evidenceAtMs: device.integrityAtMs,
      failing: device.integrity === "failed" ? toFailing(device, { rows, sizes }) : [],
    },
    crashes: toCrashes(device, crashes),
    slots: (device.reported?.slots ?? []).map((report) => ({
      slot: report.slot,
      serving: report.serving,
      activeBuildDigest: report.active?.buildDigest ?? null,
      previousBuildDigest: report.previous?.buildDigest ?? null,
      confirmed: isConfirmed(
        report.job,
        rows.find(({ slot }) => slot === report.slot),
      ),
      missedPlacement: toMissedPlacement(report),
    })),
    commands: commands.map(({ commandId, state, reason }) => ({ commandId, outcome: state, reason })),
  };
}

/** A backlog is told at once but did not happen at once. */
function toCrashes({ clockSkewMs }: Device, rows: readonly ServingCrashRow[]): ServingCrash[] {
  const skewMs = clockSkewMs ?? 0;
  return rows.map(({ slot, buildDigest, tsMs, receivedMs }) => ({
    tsMs: toPlaneTimeMs(tsMs, { skewMs, receivedMs }),
    slot,
    buildDigest,
  }));
}

async function loadSizes(from: Repositories, digests: readonly string[]): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  // SQLite binds at most 32,766 values in one statement.
  for (let start = 0; start < digests.length; start += 1_000)
    for (const { digest, sizeBytes } of await from.artifacts.listOf(digests.slice(start, start + 1_000)))
      sizes.set(digest, sizeBytes);
  return sizes;
}

/** What remediation looks at: the mapping from the plane's tables to its words. */
export async function loadObservations(
  from: Repositories,
  about: {
    readonly cases: readonly RemediationCase[];
    readonly crashesSinceMs: number;
    /** Of one slot's build; a loop needs no more. */
    readonly crashesPerBuild: number;
    readonly listeningSinceMs: number;
    /** Of these only what the fleet is counted by. */
    readonly aside: ReadonlySet<string>;
  },
): Promise<DeviceObservation[]> {
  const devices = await from.devices.list();
  const rows = await from.devices.listSlotsOf(devices.map(({ device }) => device));
  const { crashesSinceMs: fromMs, crashesPerBuild: perBuild } = about;
  const crashes = await from.events.listServingCrashes({ fromMs, perBuild });
  const ids = about.cases.flatMap(({ actions }) =>
    actions.flatMap(({ commandId, state }) => (commandId === null || state !== "issued" ? [] : [commandId])),
  );
  const commands = await from.commands.listByIds(ids.slice(-1_000));
  // One pass over each table: a pass for each device is quadratic, in a transaction of every second.
  const byDevice = <Row extends { readonly device: string }>(all: readonly Row[]): ReadonlyMap<string, Row[]> =>
    Map.groupBy(all, ({ device }) => device);
  const [rowsOf, crashesOf, commandsOf] = [byDevice(rows), byDevice(crashes), byDevice(commands)];
  const failed = devices.filter(({ integrity }) => integrity === "failed");
  const known = failed.flatMap(({ device }) => (rowsOf.get(device) ?? []).flatMap(({ knownDigests }) => knownDigests));
  const sizes = await loadSizes(from, [...new Set(known)]);
  const { aside, listeningSinceMs } = about;
  return devices.map((device) => {
    if (aside.has(device.device)) return toBareObservation(device, listeningSinceMs);
    try {
      return toObservation(device, {
        rows: rowsOf.get(device.device) ?? [],
        crashes: crashesOf.get(device.device) ?? [],
        commands: commandsOf.get(device.device) ?? [],
        sizes,
        listeningSinceMs,
      });
    } catch (error) {
      throw toDeviceTrouble(device.device, error);
    }
  });
}

/** Without what may have troubled us. A device that is set aside is still one of the fleet, and one in quarantine still counts. */
function toBareObservation(device: Device, listeningSinceMs: number): DeviceObservation {
  const nothing = { rows: [], crashes: [], commands: [], sizes: new Map<string, number>(), listeningSinceMs };
  return toObservation({ ...device, reported: null, integrity: "unknown" }, nothing);
}
