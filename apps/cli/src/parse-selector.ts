import { parseSelector } from "@fairlead/protocol";
import type { Input } from "./command.ts";

/** The label selector of `-l`, tried here: the mistake is on the command line. @throws CodedError `selector_invalid` */
export function readSelector(input: Input): { readonly selector?: string } {
  const selector = input.text("selector");
  if (selector === undefined) return {};
  parseSelector(selector);
  return { selector };
}
