import type { Store } from "@fairlead/store";
import { machineOwner } from "./person.ts";
import { toOwnDecision } from "../audit/own-decision.ts";
import type { AuditLog } from "../context.ts";
import { createToken, toTokenHash } from "./tokens.ts";

export interface AdminTokenOptions {
  readonly store: Store;
  readonly authorityFingerprint: string;
  readonly audit: AuditLog;
  readonly createId: (prefix: string) => string;
  readonly nowMs: number;
  /** Another one although there is one. */
  readonly isForced: boolean;
  /** Resolves when the operator's terminal has the text. */
  readonly print: (token: string, expiresAtMs: number) => Promise<void>;
}

/** A year. After it, and at any time before, whoever owns the machine may ask for another one. */
const lifetimeMs = 365 * 86_400_000;

/**
 * Makes the first administrator token. It is printed before it is committed: a crash between leaves a printed token
 * that is not valid and another one at the next start, never a valid one that nobody has seen.
 */
export async function ensureAdminToken(options: AdminTokenOptions): Promise<void> {
  if (!options.isForced && (await options.store.read.adminTokens.count()) > 0) return;
  const token = createToken("fla", options.authorityFingerprint);
  const description = "made at start";
  const expiresAtMs = options.nowMs + lifetimeMs;
  const row = { tokenId: options.createId("adm"), hash: toTokenHash(token), description };
  await options.store.transaction(async (tx) => {
    await tx.adminTokens.add({
      ...row,
      role: "admin",
      createdAtMs: options.nowMs,
      expiresAtMs,
      revokedAtMs: null,
      selector: null,
      person: machineOwner,
    });
    await options.audit.append(tx, {
      ...{ ...toOwnDecision("start"), action: "token.create", subject: row.tokenId },
      reason: options.isForced ? "whoever owns the machine asked for another one" : "there was none",
      change: { before: null, after: { role: "admin", selector: null, description, expiresAtMs } },
    });
    await options.print(token, expiresAtMs);
  });
}
