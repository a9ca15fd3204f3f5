import { toErrorMessage, type Clock, type Logger } from "@fairlead/kernel";
import type { Store } from "@fairlead/store";
import type { AuditLog, AuditRecord } from "../context.ts";
import { createRateLimit } from "../http/middleware/rate-limit.ts";

/** `from` is the address of the socket, whatever the way in. */
export type NoteRefusal = (from: string, record: AuditRecord) => Promise<void>;

/**
 * Audit entries for what was refused, over HTTP or MQTT. One bound per address and one for all addresses, so that nobody
 * fills the log by asking for what is refused, through whichever door; what is beyond is counted where it is refused.
 */
export function createRefusalAudit(options: {
  readonly audit: AuditLog;
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
}): NoteRefusal {
  const perAddress = createRateLimit(options.clock, { burst: 60, perMinute: 30 });
  const inAll = createRateLimit(options.clock, { burst: 600, perMinute: 300 });
  return async (from, record) => {
    try {
      perAddress.take(from);
      inAll.take("");
    } catch {
      return;
    }
    const details = { ...record.details, from };
    await options.store
      .transaction((tx) => options.audit.append(tx, { ...record, subject: record.subject.slice(0, 200), details }))
      .catch((failure: unknown) =>
        options.logger.error("a refusal was not written to the audit log", { error: toErrorMessage(failure) }),
      );
  };
}
