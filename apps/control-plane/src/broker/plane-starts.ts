import { randomBytes } from "node:crypto";
import { maxPlaneStarts, planeStartSchema } from "@fairlead/protocol";
import type { Store } from "@fairlead/store";
import * as z from "zod";
import { forkedAlert } from "../alerts/kinds.ts";
import type { DeviceHooks, PlaneContext } from "../context.ts";

const savedSchema = z.array(planeStartSchema).max(maxPlaneStarts);
const settingName = "starts";

/** Adds this start to those that the data folder remembers, on the disk before any device hears of it; the newest first. */
export async function noteStart(store: Store): Promise<readonly string[]> {
  const start = randomBytes(8).toString("hex");
  return await store.transaction(async (tx) => {
    const before = savedSchema.safeParse(await tx.settings.get(settingName));
    const starts = [start, ...(before.success ? before.data : [])].slice(0, maxPlaneStarts);
    await tx.settings.set(settingName, starts);
    return starts;
  });
}

/** Raises the alarm when a device has met a start of this plane that its data does not remember. */
export function createForkWatch(context: PlaneContext): DeviceHooks {
  const { alerts, refusals } = context;
  return {
    onEvent: async (tx, { device, from }, event) => {
      if (event.kind !== "plane-forked") return;
      const { known, seen } = event;
      const summary = `${device} knows a start of this plane (${known}) that this data folder does not remember: it was copied, or restored from a backup`;
      // Within the device's share: it may say so as often as it likes.
      await refusals.append(tx, {
        ...{ actor: `device:${device}`, from, action: "plane.forked", subject: device, reason: summary },
        details: { known, seen },
      });
      // One alert for the plane, however many devices say it.
      if ((await tx.alerts.listFiring({ kind: forkedAlert })).length > 0) return;
      await alerts.fire(tx, { kind: forkedAlert, device: null, summary, remediationId: null });
    },
  };
}
