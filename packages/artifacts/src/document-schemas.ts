import { commandSchema, desiredStateSchema, type Command, type DesiredState } from "@fairlead/protocol";

/** What the plane's own key signs. Releases are signed by publishers, as targets of The Update Framework. */
export const documentTypes = ["desired-state", "command"] as const;
/** What a key may be trusted for. */
export type DocumentType = (typeof documentTypes)[number];
export type SignableDocument = DesiredState | Command;

export const documentSchemas = {
  "desired-state": desiredStateSchema,
  command: commandSchema,
} as const;
