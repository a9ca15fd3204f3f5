import type { Command } from "../../command.ts";
import { listReleases, publishReleases, signRelease, verifyReleases } from "./sign.ts";
import { acceptKnownBad, pruneOldReleases } from "./tend.ts";

export const commands: readonly Command[] = [
  signRelease,
  publishReleases,
  verifyReleases,
  listReleases,
  pruneOldReleases,
  acceptKnownBad,
];
