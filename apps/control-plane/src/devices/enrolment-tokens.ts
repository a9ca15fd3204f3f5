import { CodedError } from "@fairlead/kernel";
import type { HttpErrorCode } from "@fairlead/protocol";
import type { EnrolmentToken, Store } from "@fairlead/store";
import { isInScope, type Scope } from "../authority/scope.ts";
import type { AuditLog } from "../context.ts";
import type { Decider } from "./enrolment.ts";

/** A token of the list, without its secret. */
export type ListedToken = Omit<EnrolmentToken, "hash">;

export interface EnrolmentTokens {
  /** Newest first, of the part of the fleet that the caller reaches. */
  list(scope: Scope): Promise<ListedToken[]>;
  /** Nobody enrols with it any more; who did stays. @throws CodedError `not_found` */
  revoke(tokenId: string, by: Decider): Promise<void>;
}

export function createEnrolmentTokens({
  store,
  audit,
}: {
  readonly store: Store;
  readonly audit: AuditLog;
}): EnrolmentTokens {
  return {
    list: async (scope) =>
      (await store.read.enrolmentTokens.list())
        .filter(({ labels }) => isInScope(scope, labels))
        .map(({ hash: _hash, ...token }) => token),
    revoke: (tokenId, { actor, from, scope }) =>
      store.transaction(async (tx) => {
        const token = (await tx.enrolmentTokens.list()).find((known) => known.tokenId === tokenId);
        if (token === undefined || !isInScope(scope, token.labels))
          throw new CodedError<HttpErrorCode>("not_found", `no enrolment token is named ${tokenId}`, {
            hint: "see them with: fairlead enrolments list-tokens",
          });
        await tx.enrolmentTokens.endUses(tokenId);
        await audit.append(tx, {
          ...{ actor, from, action: "enrolment-token.revoke", subject: tokenId, reason: "asked for" },
          change: { before: { usesLeft: token.usesLeft }, after: { usesLeft: 0 } },
        });
      }),
  };
}
