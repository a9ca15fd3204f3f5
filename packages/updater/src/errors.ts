import { CodedError, toErrorCode, toErrorMessage } from "@fairlead/kernel";
import { DownloadError, ExpiredMetadataError, BadVersionError } from "tuf-js/dist/error.js";

/** Why nothing new may be taken. Only `metadata_unreachable` may pass by itself. */
export type UpdaterErrorCode =
  | "metadata_unreachable"
  | "metadata_expired"
  | "metadata_rollback"
  | "metadata_refused"
  | "root_invalid"
  | "target_unreachable"
  | "target_refused";

const hints: Record<UpdaterErrorCode, string> = {
  metadata_unreachable: "the question is asked again by itself",
  metadata_expired: "check the clock; if it is right, have the repository's metadata signed anew",
  metadata_rollback: "somebody offers metadata older than what was seen; check the server and its backup",
  metadata_refused: "the repository's metadata is not signed as the trusted root demands",
  root_invalid: "enrol again, with a root document whose fingerprint you know",
  target_unreachable: "the question is asked again by itself",
  target_refused: "the file is not the one that the publishers signed",
};

const ownTrouble: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT", "EIO", "EMFILE", "ENFILE", "ENOMEM", "EROFS"]);

export function toUpdaterErrorCode(error: unknown): UpdaterErrorCode {
  if (error instanceof CodedError && error.code in hints) return error.code as UpdaterErrorCode;
  if (error instanceof ExpiredMetadataError) return "metadata_expired";
  if (error instanceof BadVersionError) return "metadata_rollback";
  if (error instanceof DownloadError) return "metadata_unreachable";
  // The device's own trouble says nothing about the metadata, and may pass.
  if (ownTrouble.has(toErrorCode(error) ?? "")) return "metadata_unreachable";
  // The library wraps what befell it on the way to snapshot and targets into text.
  const message = toErrorMessage(error);
  if (/expired/iu.test(message)) return "metadata_expired";
  if (/unreachable/u.test(message)) return "metadata_unreachable";
  if (/BadVersionError|rollback|version/iu.test(message)) return "metadata_rollback";
  return "metadata_refused";
}

export function toUpdaterError(error: unknown): CodedError {
  const code = toUpdaterErrorCode(error);
  if (error instanceof CodedError && error.code === code) return error;
  return new CodedError(code, toErrorMessage(error).slice(0, 500), { cause: error, hint: hints[code] });
}

/** What anybody may have written is refused before the library sees it. @throws CodedError `metadata_refused` */
export function refuseDocument(what: string): never {
  throw new CodedError("metadata_refused", `the document ${what}`, { hint: "have the document written by a TUF tool" });
}
