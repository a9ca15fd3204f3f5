import { CodedError } from "@fairlead/kernel";
import type { HttpErrorCode } from "@fairlead/protocol";
import type { AlertRow, Store } from "@fairlead/store";
import type { Asker, AuditLog } from "../context.ts";
import type { Alerts } from "./alerts.ts";
import { judgeResolve } from "./judge-resolve.ts";

export interface ResolveRequest extends Asker {
  readonly reason: string;
}

/**
 * Ends an alert by a person's word, with the reason in the audit log; repeated, it changes nothing.
 * @throws CodedError `not_found` · `conflict` for an alert that ends with its cause alone
 */
export function createResolve(options: {
  readonly store: Store;
  readonly audit: AuditLog;
  readonly alerts: Alerts;
}): (alertId: string, request: ResolveRequest) => Promise<AlertRow> {
  const { store, audit, alerts } = options;
  return (alertId, { reason, actor, from }) =>
    store.transaction(async (tx) => {
      const alert = await tx.alerts.get(alertId);
      if (alert === undefined)
        throw new CodedError<HttpErrorCode>("not_found", `there is no alert ${alertId}`, {
          hint: "fairlead alerts list",
        });
      const verdict = judgeResolve(alert);
      switch (verdict.kind) {
        case "resolved-already":
          return alert;
        case "refused":
          throw new CodedError<HttpErrorCode>("conflict", verdict.reason, { hint: verdict.hint });
        case "resolve": {
          await alerts.resolve(tx, alertId);
          await audit.append(tx, {
            ...{ actor, from, action: "alert.resolve", subject: alertId, reason },
            change: { before: alert.state, after: "resolved" },
            details: { kind: alert.kind, device: alert.device },
          });
          return (await tx.alerts.get(alertId)) ?? alert;
        }
      }
    });
}
