import type { Refusal } from "@fairlead/bus/broker";
import type { RefusalAudit } from "../audit/refusal-audit.ts";

/**
 * Leaves an audit entry for what the broker refused: who, what, why, from where. A packet of the wrong form or size says
 * nothing about anybody's intent while nobody has said who he is; from a device with a certificate it does.
 */
export function createBrokerRefusals({ note }: Pick<RefusalAudit, "note">): (refusal: Refusal) => void {
  return ({ what, why, from, device, subject }) => {
    if (what === "packet" && device === undefined) return;
    void note({
      from,
      actor: device === undefined ? "anonymous" : `device:${device}`,
      action: "broker.refuse",
      subject: subject === undefined || subject === "" ? what : `${what} ${subject}`,
      reason: why,
    });
  };
}
