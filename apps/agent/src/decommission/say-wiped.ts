import { hasErrorCode, toBackoffDelayMs, toErrorCode, toErrorMessage, type Logger } from "@fairlead/kernel";
import { wipedResponseSchema } from "@fairlead/protocol";
import { setTimeout as delay } from "node:timers/promises";
import type { Shown } from "../enrol/credentials.ts";
import type { Identity } from "../enrol/identity.ts";
import { callPlane } from "../enrol/plane-http.ts";

export interface SayWipedOptions {
  readonly identity: Pick<Identity, "apiUrl" | "caPem">;
  /** What to show the plane; asked for at each attempt. */
  readonly show: () => Promise<Shown>;
  readonly random: () => number;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

const backoff = { baseMs: 1_000, maxMs: 300_000 };

/**
 * Tells the plane that this device is empty, until the plane has stored it. A plane that no longer knows the certificate
 * has stored it before, or needs no word of it: it is the plane that answers, since the authority is pinned. A key that
 * its TPM no longer holds speaks for nobody, and never will again.
 * @returns false when the signal came first
 */
export async function sayWiped({ identity, show, random, logger, signal }: SayWipedOptions): Promise<boolean> {
  const { apiUrl, caPem: ca } = identity;
  const url = new URL("/api/v1/device/wiped", apiUrl).href;
  for (let attempt = 0; !signal.aborted; attempt += 1) {
    try {
      await callPlane({ url, ca, body: { v: 1 }, schema: wipedResponseSchema, identity: await show() });
      logger.info("the plane knows that this device is empty");
      return true;
    } catch (error) {
      if (hasErrorCode(error, "unauthenticated")) {
        logger.info("the plane has let this device go");
        return true;
      }
      if (hasErrorCode(error, "tpm_foreign")) {
        logger.warn("the plane cannot be told that this device is empty", { reason: toErrorMessage(error) });
        return true;
      }
      const delayMs = toBackoffDelayMs(backoff, attempt, random());
      logger.warn("the plane was not told yet that this device is empty", {
        ...{ code: toErrorCode(error), reason: toErrorMessage(error), delayMs },
      });
      await delay(delayMs, undefined, { signal }).catch(() => undefined);
    }
  }
  return false;
}
