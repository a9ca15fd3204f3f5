/** Kinds of alerts that no case of remediation fires; those of cases are named by their rule. */

/** A device has met a start of this plane that its data folder does not remember. */
export const forkedAlert = "plane-forked";
/** An identity is used in two places. */
export const clonedAlert = "identity-cloned";
/** Devices seem to be used twice, and are too many to be put in quarantine without a person's word. */
export const suppressedClonesAlert = "clones-suppressed";
/** A receiver of webhooks was given up. */
export const disabledWebhookAlert = "webhook-disabled";
