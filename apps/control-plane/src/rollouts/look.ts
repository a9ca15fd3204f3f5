import { reconcile, type Decision } from "@fairlead/rollout";
import type { Repositories, RolloutRow } from "@fairlead/store";
import type { Vouching } from "../trust/vouching.ts";
import { markClaims } from "./claims.ts";
import { loadEvidence } from "./evidence.ts";
import { loadFleet } from "./fleet.ts";

/** What is to be done for a rollout, by what the plane knows now. */
export async function look(
  from: Repositories,
  { record }: RolloutRow,
  { vouching, nowMs }: { readonly vouching: Vouching; readonly nowMs: number },
): Promise<readonly Decision[]> {
  const { slot, selector } = record.spec;
  const seen = await loadFleet(from, { slot, selector, record });
  const fleet = await markClaims({ from, vouching, nowMs }, record, seen);
  const evidence = await loadEvidence(from, { record, fleet }, nowMs);
  const release = await from.releases.get(record.releaseId);
  const withdrawn = release === undefined ? null : await vouching.judge(from, release.document.signed, nowMs);
  return reconcile({ record, fleet, evidence, withdrawn }, nowMs);
}
