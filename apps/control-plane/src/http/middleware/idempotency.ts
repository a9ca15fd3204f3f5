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

/**
 * Repeats the first answer to the same key for a day; failures are not kept, so they may be tried again. The key is on the
 * disk before the write begins: one that a power cut ended is never done a second time, since nobody knows whether it was done.
 */
export function createIdempotency({ store, clock, logger }: IdempotencyOptions): RunOnce {
  const running = new Set<string>();
  const note = async (what: string, actor: string, work: Parameters<Store["transaction"]>[0]): Promise<void> => {
    try {
      await store.transaction(work);
    } catch (error) {
      // What was asked for is done, or has failed, by now: this failure would say otherwise.
      logger.error(what, { actor, reason: toErrorMessage(error) });
    }
  };
  return async ({ actor, key, content }, run) => {
    if (!/^[\x21-\x7e]{1,128}$/u.test(key))
      refuse("the Idempotency-Key is not 1 to 128 printable characters", "use a UUID");
    const requestHash = createHash("sha256").update(JSON.stringify(content)).digest("hex");
    const slot = `${actor} ${key}`;
    if (running.has(slot)) refuse("the same request is running", "wait for its answer");
    running.add(slot);
    try {
      const known = await store.read.idempotency.find(actor, key);
      if (known !== undefined) {
        if (known.requestHash !== requestHash)
          refuse("the Idempotency-Key was used for another request", "use a new key");
        if (known.kind === "begun")
          refuse(
            "this request was begun and the plane was stopped before its answer was kept, so it may have been done",
            "look whether it was done, and if not, send it with a new Idempotency-Key",
          );
        const { body, etag } = known.answer;
        const status = known.status as NonNullable<RouteAnswer<unknown>["status"]>;
        return { status, body, ...(etag === null ? {} : { etag }), headers: { "idempotency-replayed": "true" } };
      }
      const row = { actor, key, requestHash, tsMs: clock.nowMs() };
      await store.transaction((tx) => tx.idempotency.begin(row));
      const forget = () => note("a key stays taken", actor, (tx) => tx.idempotency.remove(actor, key));
      let answer: Answer;
      try {
        answer = await run();
      } catch (error) {
        await forget();
        throw error;
      }
      if (answer instanceof Response) {
        await forget();
        return answer;
      }
      const { status = 200, body = null, etag = null } = answer;
      await note("an answer is not kept for repetition", actor, (tx) =>
        tx.idempotency.answer({ ...row, status, answer: { body, etag } }),
      );
      return answer;
    } finally {
      running.delete(slot);
    }
  };
}
