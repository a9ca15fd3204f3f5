import { CodedError, type Clock } from "@fairlead/kernel";
import type { AllowEndorsementRequest, HttpErrorCode } from "@fairlead/protocol";
import type { EndorsementRow, Store, Transaction } from "@fairlead/store";
import type { Asker, AuditLog } from "../context.ts";

export interface EndorsementListOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly audit: AuditLog;
}

/** The endorsement keys whose TPMs may enrol without a token. */
export interface EndorsementList {
  /** @throws CodedError `endorsement_exists` */
  allow(request: AllowEndorsementRequest, by: Asker): Promise<EndorsementRow>;
  /** No enrolment any more, and no further session of the device that has it. @throws CodedError `not_found` */
  remove(fingerprint: string, by: Asker): Promise<void>;
}

/**
 * One endorsement key is one device, from its first enrolment on.
 * @throws CodedError `endorsement_unknown` · `device_exists`
 */
export async function requireUnbound(
  tx: Pick<Transaction, "endorsements">,
  { fingerprint, device }: { readonly fingerprint: string; readonly device: string },
): Promise<EndorsementRow> {
  const row = await tx.endorsements.get(fingerprint);
  if (row === undefined)
    throw new CodedError<HttpErrorCode>(
      "endorsement_unknown",
      `the endorsement key ${fingerprint} is not allowed here`,
      {
        hint: "on the operator's machine: fairlead enrolments allow-ek --fingerprint HEX",
      },
    );
  if (row.device === null || row.device === device) return row;
  throw new CodedError<HttpErrorCode>("device_exists", `the endorsement key is that of the device ${row.device}`, {
    hint: "enrol under that name, or remove the key and allow it again",
  });
}

export async function bindEndorsement(
  tx: Transaction,
  claim: { readonly fingerprint: string; readonly device: string },
): Promise<void> {
  const row = await requireUnbound(tx, claim);
  if (row.device === null) await tx.endorsements.bind(claim.fingerprint, claim.device);
}

export function createEndorsementList({ store, clock, audit }: EndorsementListOptions): EndorsementList {
  return {
    allow: async (request, by) =>
      await store.transaction(async (tx) => {
        const { fingerprint, description } = request;
        if ((await tx.endorsements.get(fingerprint)) !== undefined)
          throw new CodedError<HttpErrorCode>(
            "endorsement_exists",
            `the endorsement key ${fingerprint} is allowed already`,
            {
              hint: "remove it first to change what it is allowed",
            },
          );
        const row: EndorsementRow = { ...request, source: "operator", createdAtMs: clock.nowMs(), createdBy: by.actor };
        await tx.endorsements.add(row);
        const change = { before: null, after: request };
        const reason = description;
        await audit.append(tx, { ...by, action: "endorsement.allow", subject: fingerprint, reason, change });
        return row;
      }),
    remove: async (fingerprint, by) =>
      await store.transaction(async (tx) => {
        const row = await tx.endorsements.get(fingerprint);
        if (row === undefined)
          throw new CodedError<HttpErrorCode>("not_found", `the endorsement key ${fingerprint} is not allowed here`);
        await tx.endorsements.remove(fingerprint);
        const change = { before: row, after: null };
        await audit.append(tx, {
          ...{ ...by, action: "endorsement.remove", subject: fingerprint, change },
          reason: "removed by an operator",
        });
      }),
  };
}
