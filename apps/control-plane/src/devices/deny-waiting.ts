import type { Transaction } from "@fairlead/store";
import type { StreamFeed } from "../context.ts";

export interface Denial {
  readonly device: string;
  readonly reason: string;
  readonly nowMs: number;
}

/** Who still waits under the name asked for it as the old device. @returns the requests that were denied */
export async function denyWaiting(tx: Transaction, stream: StreamFeed, denial: Denial): Promise<string[]> {
  const { device, reason, nowMs } = denial;
  const waiting = (await tx.enrolments.listOfDevice(device)).filter(({ state }) => state === "pending");
  for (const { enrolmentId } of waiting) {
    await tx.enrolments.update(enrolmentId, { state: "denied", reason, decidedAtMs: nowMs });
    await stream.emit(tx, "enrolment", enrolmentId);
  }
  return waiting.map(({ enrolmentId }) => enrolmentId);
}
