import type { Clock, Logger } from "@fairlead/kernel";
import type { EventData } from "@fairlead/protocol";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { AgentConfig } from "../config.ts";
import { forgetEndpoint, noteEndpoint } from "../link/endpoint-file.ts";
import type { Slots } from "../models/slots.ts";
import type { DataPaths } from "../paths.ts";
import { servingEntry } from "../places.ts";
import { readInflightLoads } from "../serve/inflight.ts";
import type { ServingConfig, ServingError } from "../serve/ipc.ts";
import { toLanes } from "./lanes.ts";
import { toSidecarConfigs } from "./runtime-config.ts";
import { toServingAddress } from "./serving-address.ts";
import { ServingHost, type ServingExit } from "./serving-host.ts";
import { noteServingTrouble } from "./trouble-file.ts";

export interface OpenServingOptions {
  readonly config: AgentConfig;
  readonly paths: DataPaths;
  /** What no model may go beyond, here or in a process that measures. */
  readonly bounds: Pick<Required<ServingConfig>, "models" | "isolated" | "memoryLimitBytes">;
  readonly emit: (data: EventData) => void;
  readonly onReady: () => void;
  /** While the slots still know what they had loaded. */
  readonly onEnd: (exit: ServingExit) => void;
  /** What this device says of itself has changed. */
  readonly onChange: () => void;
  /** Asked when something happens: the slots in their turn need this host. */
  readonly slots: () => Slots;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
}

/** The device's own serving process, by its configuration. */
export function openServing(options: OpenServingOptions): ServingHost {
  const { config, paths, bounds, emit, onReady, onChange, slots, clock, random, logger } = options;
  const { inference } = config;
  const inflightPath = join(paths.run, "inflight");
  const onTrouble = (trouble: ServingError | null): void => {
    if (trouble !== null) forgetEndpoint(paths);
    if (noteServingTrouble(paths, trouble, logger)) emit(toEvent(trouble));
    onChange();
  };
  return new ServingHost({
    entry: servingEntry,
    config: {
      address: toServingAddress(inference, paths.root),
      inflightPath,
      lanes: toLanes(inference, availableParallelism()),
      runtimes: toSidecarConfigs(config.runtimes, paths.root),
      acceleratorRetry: inference.acceleratorRetry,
      ...bounds,
      memoryBudgetBytes: bounds.memoryLimitBytes,
      sharedMemory: inference.sharedMemory === "allow",
      repository: inference.repository === "allow",
      inline: inference.loneRequests === "inline",
      profileFolder: join(paths.run, "profiles"),
    },
    readInflight: () => readInflightLoads(inflightPath).map(({ loadId }) => loadId),
    expected: () => slots().expected,
    ...{ clock, logger, random, onTrouble },
    onReady: (address) => {
      noteEndpoint(paths, address, logger);
      onReady();
      onChange();
    },
    onPlacement: (moved) => slots().onPlacement(moved),
    onUnloaded: ({ slot, loadId }) => slots().onUnloaded(slot, loadId),
    onRepository: (asked) => void slots().onRepository(asked),
    onExit: (exit) => {
      options.onEnd(exit);
      slots().onServingExit(exit);
      onChange();
    },
  });
}

function toEvent(trouble: ServingError | null): EventData {
  if (trouble === null) return { kind: "serving-start", state: "recovered", code: null, reason: null };
  const { code, message } = trouble;
  return { kind: "serving-start", state: "failed", code: code.slice(0, 64), reason: message.slice(0, 500) };
}
