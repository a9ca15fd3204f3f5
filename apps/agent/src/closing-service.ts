import type { Service } from "@fairlead/kernel";

/** What has only an end: it is open already when the agent starts. */
export function close(name: string, end: () => void | Promise<void>): Service {
  return { name, start: async () => undefined, stop: async () => end() };
}
