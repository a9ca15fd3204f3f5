import type { Alert } from "@fairlead/protocol";
import { clonedAlert, disabledWebhookAlert } from "./kinds.ts";

export type ResolveVerdict =
  | { readonly kind: "resolve" }
  | { readonly kind: "resolved-already" }
  /** Something else ends it, and has to: who silences it would hide what goes on. */
  | { readonly kind: "refused"; readonly reason: string; readonly hint: string };

type Judged = Pick<Alert, "kind" | "state" | "device"> & { readonly remediationId: string | null };

/**
 * Whether a person may end an alert by a word. One whose cause the plane can watch ends with its cause; what is left (a
 * fork of the plane, many clones at once, a kind of another version) nobody but a person can know to be over.
 */
export function judgeResolve({ kind, state, device, remediationId }: Judged): ResolveVerdict {
  if (state === "resolved") return { kind: "resolved-already" };
  if (remediationId !== null)
    return {
      kind: "refused",
      reason: `${kind} ends by itself as soon as ${device ?? "the device"} is well again, or is decommissioned`,
      hint: `fairlead remediations describe ${remediationId}`,
    };
  switch (kind) {
    case clonedAlert:
      return {
        kind: "refused",
        reason: `${kind} ends with the identity that is used in two places`,
        hint: `fairlead devices release ${device ?? "DEVICE"}, or fairlead devices decommission ${device ?? "DEVICE"}`,
      };
    case disabledWebhookAlert:
      return {
        kind: "refused",
        reason: `${kind} ends when the receiver takes a test, or with the webhook`,
        hint: "fairlead webhooks test WEBHOOK, or fairlead webhooks delete WEBHOOK",
      };
    default:
      return { kind: "resolve" };
  }
}
