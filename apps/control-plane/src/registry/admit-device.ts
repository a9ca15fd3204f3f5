import type { SignedRelease } from "@fairlead/protocol";
import type { Repositories } from "@fairlead/store";

function isNamedBy(release: SignedRelease, digest: string): boolean {
  const { builds, selfTest } = release.signed.content;
  return builds.some(({ artifact }) => artifact.digest === digest) || selfTest.golden?.digest === digest;
}

/**
 * May a device fetch this artifact? Those of the releases that it should run, and of those that it says it holds: it
 * may have to repair the build to which it went back by itself. Release ids are not guessable and a device learns only
 * those that it was offered, so naming one is proof enough.
 */
export async function mayDeviceFetch(read: Repositories, device: string, digest: string): Promise<boolean> {
  const slots = await read.devices.listSlots(device);
  if (slots.some(({ release }) => release !== null && isNamedBy(release, digest))) return true;
  const reported = (await read.devices.get(device))?.reported ?? null;
  const held = (reported?.slots ?? []).flatMap(({ active, previous }) =>
    [active, previous].flatMap((running) => (running === null ? [] : [running.releaseId])),
  );
  if (held.length === 0) return false;
  return (await read.releases.listOf([...new Set(held)])).some(({ document }) => isNamedBy(document, digest));
}
