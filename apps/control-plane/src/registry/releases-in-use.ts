import type { Repositories } from "@fairlead/store";

/**
 * Every release that something still points at: what devices are to run, what they said that they run or could go back
 * to, and what rollouts that are not over offer or would return to.
 */
export async function listReleasesInUse(from: Repositories): Promise<string[]> {
  const devices = await from.devices.listReported();
  const slots = await from.devices.listSlotsOf(devices.map(({ device }) => device));
  const wanted = slots.flatMap(({ releaseId, shadow }) => [releaseId, shadow?.release.signed.releaseId ?? null]);
  const reported = devices.flatMap((device) =>
    (device.reported?.slots ?? []).flatMap(({ active, previous }) => [active?.releaseId, previous?.releaseId]),
  );
  const moved = (await from.rollouts.listLive()).flatMap(({ record }) => [
    record.releaseId,
    ...record.devices.map(({ previous }) => previous?.releaseId),
  ]);
  const ids = [...wanted, ...reported, ...moved].filter((id) => id !== null && id !== undefined);
  return [...new Set(ids)].toSorted();
}
