import {
  commandSchema,
  desiredStateSchema,
  releaseSchema,
  type Command,
  type DesiredState,
  type Release,
} from "@fairlead/protocol";

export const documentTypes = ["release", "desired-state", "command"] as const;
/** What a key may be trusted for. */
export type DocumentType = (typeof documentTypes)[number];
export type SignableDocument = Release | DesiredState | Command;

export const documentSchemas = {
  release: releaseSchema,
  "desired-state": desiredStateSchema,
  command: commandSchema,
} as const;
