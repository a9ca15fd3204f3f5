import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import type { SessionHome } from "./onnxruntime-home.ts";
import type { WorkerResponse } from "./onnxruntime-messages.ts";

export type { SessionHome };

/** What a thread or a process for a session runs. Beside this file, as source and in a bundle, whose build emits it there. */
export const sessionEntry = new URL(`./onnxruntime-worker${extname(import.meta.url)}`, import.meta.url);

/** A thread that can own one session. It begins at once, which takes Node.js some 60 ms, and waits for its load. */
export function openThread(): SessionHome {
  const worker = new Worker(sessionEntry, {
    name: "onnxruntime",
    execArgv: [],
    stdin: false,
    resourceLimits: { maxYoungGenerationSizeMb: 8 },
  });
  const home: SessionHome = {
    kind: "thread",
    onMessage: () => undefined,
    onEnd: () => undefined,
    post: (request, transfer) => worker.postMessage(request, transfer),
    end: () => undefined,
  };
  const end = toEnding(home);
  worker.on("message", (response: WorkerResponse) => home.onMessage(response));
  // Also a thread that fails after its load was given up must not take the process down unexplained.
  worker.on("error", (error: unknown) => end(error instanceof Error ? error : new Error(String(error))));
  worker.on("exit", (code) => end(new Error(`exit ${code}`)));
  return home;
}

/** Tells the home of its end once, whatever says so first. */
export function toEnding(home: SessionHome): (cause: Error) => void {
  let ended = false;
  return (cause) => {
    if (ended) return;
    ended = true;
    home.onEnd(cause);
  };
}
