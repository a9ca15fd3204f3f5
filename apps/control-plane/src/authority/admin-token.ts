import type { Store } from "@fairlead/store";
import { machineOwner } from "./person.ts";
import { createToken, toTokenHash } from "./tokens.ts";

export interface AdminTokenOptions {
  readonly store: Store;
  readonly authorityFingerprint: string;
  readonly createId: (prefix: string) => string;
  readonly nowMs: number;
  /** Another one although there is one. */
  readonly isForced: boolean;
  /** Resolves when the operator's terminal has the text. */
  readonly print: (token: string) => Promise<void>;
}

/**
 * Makes the first administrator token. It is printed before it is committed: a crash between leaves a printed token
 * that is not valid and another one at the next start, never a valid one that nobody has seen.
 */
export async function ensureAdminToken(options: AdminTokenOptions): Promise<void> {
  if (!options.isForced && (await options.store.read.adminTokens.count()) > 0) return;
  const token = createToken("fla", options.authorityFingerprint);
  const row = { tokenId: options.createId("adm"), hash: toTokenHash(token), description: "made at start" };
  await options.store.transaction(async (tx) => {
    await tx.adminTokens.add({
      ...row,
      role: "admin",
      createdAtMs: options.nowMs,
      expiresAtMs: null,
      revokedAtMs: null,
      selector: null,
      person: machineOwner,
    });
    await options.print(token);
  });
}
