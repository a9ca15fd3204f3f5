import { isJobEnd, type SlotReport } from "@fairlead/protocol";
import type {
  DeviceObservation,
  FailingMeasurement,
  RemediationCase,
  ServingCrash,
  SlotObservation,
} from "@fairlead/remediation";
import type {
  AskedSlot,
  CommandRow,
  DesiredSlotRow,
  Device,
  Repositories,
  ServingCrashRow,
  WatchedDevice,
} from "@fairlead/store";
import { listFailingMeasurements } from "../devices/appraise-evidence.ts";
import { toDeviceTrouble } from "./set-aside.ts";
import { toPlaneTimeMs } from "../ingest/plane-time.ts";

interface Facts {
  readonly doubted: boolean;
  readonly clockSkewMs: number | null;
  readonly asked: readonly AskedSlot[];
  /** Of a device of which a file is not as it should be. */
  readonly failed: FailedDevice | null;
  readonly crashes: readonly ServingCrashRow[];
  readonly commands: readonly CommandRow[];
  readonly listeningSinceMs: number;
}

export interface FailedDevice {
  readonly device: Device;
  readonly rows: readonly DesiredSlotRow[];
  /** Of the artifacts that it may run, by digest. */
  readonly sizes: ReadonlyMap<string, number>;
}

/** Size of the artifact with that digest among what the plane ever asked the slot to run; null when it is none of them. */
function toSizeBytes(
  digest: string | null,
  { row, sizes }: { readonly row: DesiredSlotRow | undefined; readonly sizes: FailedDevice["sizes"] },
): number | null {
  if (row === undefined || digest === null) return null;
  const build = row.release?.signed.content.builds.find(({ artifact }) => artifact.digest === digest);
  if (build !== undefined) return build.artifact.sizeBytes;
  // A device that went back by itself runs what an earlier release asked for.
  return row.knownDigests.includes(digest) ? (sizes.get(digest) ?? null) : null;
}

function toFailing({ device, rows, sizes }: FailedDevice): FailingMeasurement[] {
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
  asked: Pick<AskedSlot, "rolloutId" | "attempt"> | undefined,
): boolean {
  if (job === null) return true;
  if (!isJobEnd(job.state)) return false;
  if (asked === undefined || asked.rolloutId === null) return true;
  return job.rolloutId === asked.rolloutId && job.attempt === asked.attempt;
}

export function toObservation(
  device: WatchedDevice,
  { doubted, clockSkewMs, asked, failed, crashes, commands, listeningSinceMs }: Facts,
): DeviceObservation {
  return {
    device: device.device,
    lifecycle: device.lifecycle,
    doubted,
    online: device.online,
    lastSeenMs: device.lastSeenMs,
    listeningSinceMs,
    integrity: {
      state: device.integrity,
      evidenceAtMs: device.integrityAtMs,
      failing: failed === null ? [] : toFailing(failed),
    },
    crashes: toCrashes(clockSkewMs ?? 0, crashes),
    slots: (device.reported?.slots ?? []).map((report) => ({
      slot: report.slot,
      serving: report.serving,
      activeBuildDigest: report.active?.buildDigest ?? null,
      previousBuildDigest: report.previous?.buildDigest ?? null,
      confirmed: isConfirmed(
        report.job,
        asked.find(({ slot }) => slot === report.slot),
      ),
      missedPlacement: toMissedPlacement(report),
    })),
    commands: commands.map(({ commandId, state, reason }) => ({ commandId, outcome: state, reason })),
  };
}

/** A backlog is told at once but did not happen at once. */
function toCrashes(skewMs: number, rows: readonly ServingCrashRow[]): ServingCrash[] {
  return rows.map(({ slot, buildDigest, tsMs, receivedMs }) => ({
    tsMs: toPlaneTimeMs(tsMs, { skewMs, receivedMs }),
    slot,
    buildDigest,
  }));
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
  const devices = await from.devices.listWatched();
  const asked = await from.devices.listAskedSlotsOf(devices.map(({ device }) => device));
  const doubted = new Set(await from.devices.listDoubted());
  const { crashesSinceMs: fromMs, crashesPerBuild: perBuild } = about;
  const crashes = await from.events.listServingCrashes({ fromMs, perBuild });
  const ids = about.cases.flatMap(({ actions }) =>
    actions.flatMap(({ commandId, state }) => (commandId === null || state !== "issued" ? [] : [commandId])),
  );
  const commands = await from.commands.listByIds(ids.slice(-1_000));
  // One pass over each table: a pass for each device is quadratic, in a transaction of every second.
  const byDevice = <Row extends { readonly device: string }>(all: readonly Row[]): ReadonlyMap<string, Row[]> =>
    Map.groupBy(all, ({ device }) => device);
  const [askedOf, crashesOf, commandsOf] = [byDevice(asked), byDevice(crashes), byDevice(commands)];
  const skews = await from.devices.listClockSkewsOf([...crashesOf.keys()]);
  const skewOf = new Map(skews.map(({ device, clockSkewMs }) => [device, clockSkewMs]));
  const failedOf = await loadFailed(
    from,
    devices.filter(({ integrity, device }) => integrity === "failed" && !about.aside.has(device)),
  );
  const { aside, listeningSinceMs } = about;
  return devices.map((device) => {
    const isDoubted = doubted.has(device.device);
    if (aside.has(device.device)) return toBareObservation(device, { doubted: isDoubted, listeningSinceMs });
    try {
      return toObservation(device, {
        doubted: isDoubted,
        clockSkewMs: skewOf.get(device.device) ?? null,
        asked: askedOf.get(device.device) ?? [],
        failed: failedOf.get(device.device) ?? null,
        crashes: crashesOf.get(device.device) ?? [],
        commands: commandsOf.get(device.device) ?? [],
        listeningSinceMs,
      });
    } catch (error) {
      throw toDeviceTrouble(device.device, error);
    }
  });
}

/** The few rows that are read whole. */
async function loadFailed(
  from: Repositories,
  failed: readonly WatchedDevice[],
): Promise<ReadonlyMap<string, FailedDevice>> {
  const names = failed.map(({ device }) => device);
  const rowsOf = Map.groupBy(await from.devices.listSlotsOf(names), ({ device }) => device);
  const known = [...rowsOf.values()].flatMap((rows) => rows.flatMap(({ knownDigests }) => knownDigests));
  const artifacts = await from.artifacts.listOf([...new Set(known)]);
  const sizes = new Map(artifacts.map(({ digest, sizeBytes }) => [digest, sizeBytes]));
  const devices = await from.devices.listOf(names);
  return new Map(devices.map((device) => [device.device, { device, rows: rowsOf.get(device.device) ?? [], sizes }]));
}

/** Without what may have troubled us. A device that is set aside is still one of the fleet, and one in quarantine still counts. */
function toBareObservation(
  device: WatchedDevice,
  known: Pick<Facts, "doubted" | "listeningSinceMs">,
): DeviceObservation {
  const nothing = { ...known, clockSkewMs: null, asked: [], failed: null, crashes: [], commands: [] };
  return toObservation({ ...device, reported: null, integrity: "unknown" }, nothing);
}
