import { createEgress, resolveBySystem } from "@fairlead/egress";
import { CodedError, toErrorMessage, type Clock } from "@fairlead/kernel";
import { isTrustedTransport } from "./config.ts";

export interface FetchDocumentOptions {
  /** PEM; undefined: the system's authorities. */
  readonly ca: string | undefined;
  readonly clock: Clock;
  readonly maxBytes?: number;
  /** For the whole answer, however it trickles. */
  readonly timeoutMs?: number;
}
/** Text of a document at an address; anything but a whole, small, quick 200 throws. */
export type FetchDocument = (url: string) => Promise<string>;

/** Follows no redirect: the address in the configuration, or in the issuer's own document, is the one that counts. */
export function createFetchDocument({
  ca,
  clock,
  maxBytes = 262_144,
  timeoutMs = 5_000,
}: FetchDocumentOptions): FetchDocument {
  const egress = createEgress({
    // Plain http is for this machine alone, as `isTrustedTransport` says.
    policy: { allowsPlainHttp: true, ports: "any", addresses: { kind: "site", allowsLoopback: true } },
    ...{ resolve: resolveBySystem, clock, tls: ca === undefined ? {} : { ca } },
    limits: { maxResponseBytes: maxBytes, answerTimeoutMs: timeoutMs, totalTimeoutMs: timeoutMs },
  });
  return async (url) => {
    if (!isTrustedTransport(url)) throw new CodedError("unavailable", `${url} is not reached by https`);
    const answer = await egress
      .send({ method: "GET", url, headers: { accept: "application/json" } })
      .catch((error: unknown) => {
        throw new CodedError("unavailable", `${url}: ${toErrorMessage(error)}`, { cause: error });
      });
    if (answer.status !== 200) throw new CodedError("unavailable", `${url}: answered ${answer.status}`);
    return answer.body.toString("utf8");
  };
}
