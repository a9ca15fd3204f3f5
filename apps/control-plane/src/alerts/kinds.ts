/** Kinds of alerts that no case of remediation fires; those of cases are named by their rule. */

/** A device has met a start of this plane that its data folder does not remember. */
export const forkedAlert = "plane-forked";
/** An identity is used in two places. */
export const clonedAlert = "identity-cloned";
/** A receiver of webhooks was given up. */
export const disabledWebhookAlert = "webhook-disabled";
