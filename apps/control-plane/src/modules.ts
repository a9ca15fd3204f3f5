import type { PlaneContext, PlaneModule } from "./context.ts";

/** The controllers and the registry, in the order in which they start. */
export function createModules(_context: PlaneContext): readonly PlaneModule[] {
  return [];
}
