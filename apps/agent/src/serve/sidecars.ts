import { createOpenInferenceRuntime, type SidecarEvent, type SidecarRuntime } from "@fairlead/inference";
import type { SidecarConfig } from "./ipc.ts";
import { ServeError } from "./serving-error.ts";
import type { ServingEvent } from "./serving-event.ts";

/** Reads the list out of the process's argument; the supervisor has checked what the values are. */
export function parseSidecars(value: unknown): readonly SidecarConfig[] {
  if (value === undefined) return [];
  if (!Array.isArray(value) || value.length > 8) throw new ServeError("config_invalid", "runtimes is no list of 8");
  return value.map((item: unknown) => {
    if (!isSidecar(item)) throw new ServeError("config_invalid", "a runtime has no name, command, url or folder");
    return item;
  });
}

function isSidecar(item: unknown): item is SidecarConfig {
  if (typeof item !== "object" || item === null) return false;
  const { name, command, url, folder }: Readonly<Record<string, unknown>> = { ...item };
  const named = [name, url, folder].every((text) => typeof text === "string" && text !== "");
  return named && Array.isArray(command) && command.length > 0 && command.every((word) => typeof word === "string");
}

/** Nothing starts before the first load that asks for it. */
export function createSidecars(
  configs: readonly SidecarConfig[],
  emit: (event: ServingEvent) => void,
): readonly SidecarRuntime[] {
  return configs.map((config) =>
    createOpenInferenceRuntime({
      ...config,
      onEvent: (event) => emit({ kind: "runtime", runtime: config.name, ...toReport(event) }),
    }),
  );
}

type Report = Pick<Extract<ServingEvent, { kind: "runtime" }>, "severity" | "message">;

function toReport(event: SidecarEvent): Report {
  switch (event.kind) {
    case "up": {
      const notes = event.notes.map((note) => `; ${note}`).join("");
      return {
        severity: "info",
        message: `ready as process ${event.pid} after ${Math.round(event.startMs)} ms${notes}`,
      };
    }
    case "down": {
      const words = event.lastWords.length === 0 ? "" : `; it said last: ${event.lastWords.slice(-3).join(" | ")}`;
      return {
        severity: "warn",
        message: `${event.reason}; starts again in ${event.restartInMs} ms${words}`.slice(0, 2_000),
      };
    }
    case "output":
      return {
        severity: "info",
        message: event.count === 1 ? event.line : `${event.line} (${event.count} times)`,
      };
    case "model-lost":
      return { severity: "warn", message: `${event.model} is not loaded again: ${event.reason}` };
  }
}
