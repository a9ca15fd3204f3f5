import type { Assurance } from "./http/endorsements.ts";
import type { Labels } from "./ids.ts";

/** Label that nobody sets: `software`, `tpm` or `tpm-endorsed`, as the plane found it. A device's own label of this name is not seen. */
const assuranceLabel = "fairlead.assurance";

/** What selectors see of a device: its labels, and what only the plane may say of it. */
export function toSelectableLabels({
  labels,
  assurance,
}: {
  readonly labels: Labels;
  readonly assurance: Assurance;
}): Labels {
  return { ...labels, [assuranceLabel]: assurance };
}
