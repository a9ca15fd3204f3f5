import type { Asker } from "../context.ts";

/** What nobody asked for: a part of the plane decided it by itself. */
export function toOwnDecision(part: string): Asker {
  return { actor: `plane:${part}`, from: "plane" };
}

/** Where the socket's other end was gone before anybody asked for its address. */
export const unknownAddress = "unknown";
