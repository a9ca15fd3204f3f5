import { CodedError } from "./coded-error.ts";

/** The end of an exhaustive switch: does not compile while a member of the union is unhandled. */
export function assertNever(value: never): never {
  throw new CodedError("unreachable", `unhandled value: ${JSON.stringify(value)}`);
}
