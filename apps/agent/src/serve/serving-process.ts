import { setFlagsFromString } from "node:v8";
import { createOnnxRuntime, createRuntimes, DeviceScheduler, type Runtimes } from "@fairlead/inference";
import type { SessionHome } from "@fairlead/inference/thread";
import { createBodyMemory } from "./body-memory.ts";
import { parseServingConfig } from "./config.ts";
import { ExpectedModels } from "./expected-models.ts";
import { HotCode } from "./hot-code.ts";
import { openHttpServer } from "./http-server.ts";
import { openInflightFile } from "./inflight.ts";
import { createIpcHandler } from "./ipc-handler.ts";
import type { ServingMessage, ServingRequestMessage } from "./ipc.ts";
import { Loads } from "./loads.ts";
import { LoneClient } from "./lone-client.ts";
import { offerToKernel, watchMemory, type MemoryWatch } from "./memory-watch.ts";
import { readMemory } from "./process-memory.ts";
import { openProfileFolder } from "./profile-folder.ts";
import { RepositoryAsks } from "./repository-asks.ts";
import { SharedRegions } from "./shared-regions.ts";
import { toServingError } from "./serving-error.ts";
import { createSidecars } from "./sidecars.ts";

/*
 * The serving process: composition root, started by `main.ts`. It is forked by the supervisor, takes its configuration as one argument, and
 * ends when the supervisor does. It opens no connection to anywhere but to its own sidecars on this machine.
 */

function send(message: ServingMessage, onSent?: () => void): void {
  if (process.connected) process.send?.(message, undefined, undefined, onSent ?? (() => undefined));
}

/** The supervisor is told why before the process ends: an exit status alone says nothing that anybody could act on. */
async function begin<Opened>(open: () => Opened | Promise<Opened>): Promise<Opened> {
  try {
    return await open();
  } catch (error) {
    await new Promise<void>((resolve) => {
      if (process.connected) send({ event: { kind: "start-failed", error: toServingError(error) } }, resolve);
      else resolve();
    });
    process.exit(1);
  }
}

/**
 * Leaves at once. With a run in progress an ordinary exit would wait for the thread, for ever if the run never ends,
 * or abort; SIGKILL does neither, and the in-flight file still names the run.
 */
function leave(runtime: Pick<Runtimes, "kill">, busy: boolean): void {
  runtime.kill();
  if (busy) process.kill(process.pid, "SIGKILL");
  else process.exit(0);
}

/** Serves until the supervisor or a signal ends it. `firstThread` is for the first model. */
export async function runServingProcess(firstThread: SessionHome): Promise<void> {
  const config = await begin(() => parseServingConfig(process.argv[2]));
  if (config.profileFolder !== null) openProfileFolder(config.profileFolder);
  const own = createOnnxRuntime({
    apart: config.isolated,
    firstThread,
    ...(config.profileFolder === null ? {} : { profileFolder: config.profileFolder }),
  });
  const runtime = createRuntimes({ own, sidecars: createSidecars(config.runtimes, (event) => send({ event })) });
  process.on("exit", () => runtime.kill());
  const inflight = await begin(() => openInflightFile(config.inflightPath));
  const loads = new Loads({
    runtime,
    operators: config.models,
    inflight,
    scheduler: new DeviceScheduler({ lanes: config.lanes, nowMs: () => performance.now() }),
    maxQueue: config.maxQueue,
    memory: {
      budgetBytes: config.memoryBudgetBytes,
      reserveBytes: config.memoryReserveBytes,
      unloadIdleMs: config.unloadIdleMs,
      read: readMemory,
    },
    acceleratorRetry: config.acceleratorRetry,
    inline: config.inline,
    expected: new ExpectedModels(config.expected, performance.now()),
    emit: (event) => send({ event }),
    random: () => Math.random(),
  });
  offerToKernel();
  function openMemoryWatch(limitBytes: number): MemoryWatch {
    return watchMemory({
      ...{ limitBytes, read: readMemory, isBusy: () => loads.busy || server.inflight > 0 },
      onExceeded: (rssBytes) => {
        // The in-flight file names the run. A supervisor that is busy must not keep the memory from the device.
        setTimeout(() => process.kill(process.pid, "SIGKILL"), 30);
        send({ event: { kind: "memory-exceeded", rssBytes, limitBytes } });
      },
    });
  }
  const memoryWatch = config.memoryLimitBytes === null ? null : openMemoryWatch(config.memoryLimitBytes);
  process.on("disconnect", () => leave(runtime, loads.busy));
  // The supervisor may have ended while this process began, and nobody would say so again.
  if (process.send !== undefined && !process.connected) leave(runtime, false);

  const repository = new RepositoryAsks(config.repository, (event) => send({ event }));
  const server = await begin(() =>
    openHttpServer({
      address: config.address,
      maxSockets: config.maxSockets,
      onRequest: () => memoryWatch?.wake(),
      context: {
        loads,
        bodyLimits: config.bodyLimits,
        memory: createBodyMemory(8 * 1_048_576),
        repository,
        shared: new SharedRegions({ allowed: config.sharedMemory, folder: "/dev/shm" }),
        lone: new LoneClient(),
        hotCode: new HotCode(setFlagsFromString),
        nowMs: () => Date.now(),
      },
    }),
  );
  const handle = createIpcHandler(loads, server, { runtime: own, repository });
  process.on("message", (message: ServingRequestMessage) => {
    memoryWatch?.wake();
    void handle(message).then((response) =>
      send(response, message.request.kind === "shutdown" ? () => leave(runtime, loads.busy) : undefined),
    );
  });
  send({ event: { kind: "ready", address: server.address, pid: process.pid } });
}
