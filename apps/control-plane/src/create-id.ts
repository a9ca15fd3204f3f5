import { toId } from "@fairlead/protocol";
import { randomBytes } from "node:crypto";

export function createId(prefix: string, nowMs: number): string {
  return toId(prefix, nowMs, randomBytes(16));
}
