import { spawn, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { WorkerRequest, WorkerResponse } from "./onnxruntime-messages.ts";
import { toEnding } from "./onnxruntime-thread.ts";
import { toLaunch, type Launch } from "./sidecar/launch.ts";

/** Where a session lives: a thread of this process, or a process of its own. */
export interface SessionHome {
  readonly kind: "thread" | "process";
  onMessage: (response: WorkerResponse) => void;
  /** Called once. */
  onEnd: (cause: Error) => void;
  /** @throws Error when memory that is to move to a thread is gone, or there is too much of it for a process */
  post(request: WorkerRequest, transfer: ArrayBuffer[]): void;
  /** Ends it where that is possible: a thread inside the runtime can only be left alone. */
  end(): void;
}

/** What a process is sent is copied several times on its way; more than this is not. */
export const maxMessageBytes = 512 * 1_048_576;

/** Opens homes that are processes; what binds their life to ours is looked up once. */
export function createProcessHomes(entry: URL): () => Promise<SessionHome> {
  let launch: Promise<Launch> | null = null;
  return async () => {
    launch ??= toLaunch([process.execPath, "--max-semi-space-size=1", "--v8-pool-size=1", fileURLToPath(entry)], null);
    const { file, args } = await launch;
    return openProcess(file, args);
  };
}

function openProcess(file: string, args: readonly string[]): SessionHome {
  const child: ChildProcess = spawn(file, [...args], {
    shell: false,
    serialization: "advanced",
    // What a driver prints belongs to what this process prints.
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const home: SessionHome = {
    kind: "process",
    onMessage: () => undefined,
    onEnd: () => undefined,
    post: (request) => {
      if (toInputBytes(request) > maxMessageBytes) throw new Error("too large for another process");
      child.send(request, () => undefined);
    },
    end: () => void child.kill("SIGKILL"),
  };
  const end = toEnding(home);
  child.on("message", (response) => home.onMessage(response as WorkerResponse));
  child.on("error", end);
  child.on("exit", (code, signal) => end(new Error(signal ?? `exit ${code}`)));
  return home;
}

function toInputBytes(request: WorkerRequest): number {
  if (request.kind !== "run") return 0;
  return request.runs.flatMap(({ inputs }) => inputs).reduce((sum, { data }) => sum + data.byteLength, 0);
}
