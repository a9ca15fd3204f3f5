import type { Repositories } from "@fairlead/store";

/**
 * May a device fetch this artifact? What its desired releases name, those that are to run beside them too, and every
 * build that its slots were ever offered: it may have to repair the one to which it went back by itself.
 */
export async function mayDeviceFetch(
  read: Pick<Repositories, "devices">,
  device: string,
  digest: string,
): Promise<boolean> {
  const slots = await read.devices.listSlots(device);
  return slots.some(
    ({ release, shadow, knownDigests }) =>
      knownDigests.includes(digest) ||
      [release, shadow?.release ?? null].some(
        (named) =>
          named?.signed.content.selfTest.golden?.digest === digest ||
          (named?.signed.content.builds.some(({ artifact }) => artifact.digest === digest) ?? false),
      ),
  );
}
