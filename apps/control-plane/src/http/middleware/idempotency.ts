import { createHash } from "node:crypto";
import { CodedError, toErrorMessage, type Clock, type Logger } from "@fairlead/kernel";
import type { HttpErrorCode } from "@fairlead/protocol";
import type { Store } from "@fairlead/store";
import type { RouteAnswer } from "../route.ts";

export interface IdempotencyOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
}
export interface IdempotentRequest {
  readonly actor: string;
  readonly key: string;
  /** Method, path and parsed body: what must be equal for the same key. */
  readonly content: unknown;
}
type Answer = RouteAnswer<unknown> | Response;
export type RunOnce = (request: IdempotentRequest, run: () => Promise<Answer>) => Promise<Answer>;

function refuse(message: string, hint: string): never {
  throw new CodedError<HttpErrorCode>("conflict", message, { hint });
}

/** Repeats the first answer to the same key for a day; failures are not kept, so they may be tried again. */
export function createIdempotency({ store, clock, logger }: IdempotencyOptions): RunOnce {
  const running = new Set<string>();
  return async ({ actor, key, content }, run) => {
    if (!/^[\x21-\x7e]{1,128}$/u.test(key))
      refuse("the Idempotency-Key is not 1 to 128 printable characters", "use a UUID");
    const requestHash = createHash("sha256").update(JSON.stringify(content)).digest("hex");
    const known = await store.read.idempotency.find(actor, key);
    if (known !== undefined) {
      if (known.requestHash !== requestHash)
        refuse("the Idempotency-Key was used for another request", "use a new key");
      const { body, etag } = known.answer;
      const status = known.status as NonNullable<RouteAnswer<unknown>["status"]>;
      return { status, body, ...(etag === null ? {} : { etag }), headers: { "idempotency-replayed": "true" } };
    }
    const slot = `${actor} ${key}`;
    if (running.has(slot)) refuse("the same request is running", "wait for its answer");
    running.add(slot);
    try {
      const answer = await run();
      if (answer instanceof Response) return answer;
      const row = { actor, key, requestHash, status: answer.status ?? 200, tsMs: clock.nowMs() };
      try {
        await store.transaction((tx) =>
          tx.idempotency.save({ ...row, answer: { body: answer.body ?? null, etag: answer.etag ?? null } }),
        );
      } catch (error) {
        // What was asked for is done by now: to answer with this failure would say that it is not.
        logger.error("an answer is not kept for repetition", { actor, reason: toErrorMessage(error) });
      }
      return answer;
    } finally {
      running.delete(slot);
    }
  };
}
