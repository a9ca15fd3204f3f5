import type { Labels } from "@fairlead/protocol";
import type { Device } from "@fairlead/store";

/** Label that nobody sets: `software`, `tpm` or `tpm-endorsed`, as the plane found it. A device's own label of this name is not seen. */
export const assuranceLabel = "fairlead.assurance";

/** What selectors see of a device: its labels, and what only the plane may say of it. */
export function toSelectableLabels({ labels, assurance }: Pick<Device, "labels" | "assurance">): Labels {
  return { ...labels, [assuranceLabel]: assurance };
}
