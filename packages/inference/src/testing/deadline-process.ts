import { fork } from "node:child_process";
import { createOnnxRuntime } from "../onnxruntime.ts";
import { giveUpAtDeadline, type DeadlineOutcome } from "./deadline-case.ts";

/*
 * The deadline case in a process of its own, which is killed with its hung run: on a graphics driver that run stops every
 * other one of the process, and nothing but the process's end stops it.
 */

interface Asked {
  readonly model: Uint8Array<ArrayBuffer>;
  readonly providers: readonly string[];
}

export async function giveUpElsewhere(asked: Asked): Promise<DeadlineOutcome> {
  const child = fork(new URL(import.meta.url), { serialization: "advanced", execArgv: [] });
  try {
    return await new Promise((resolve, reject) => {
      child.once("message", (outcome) => resolve(outcome as DeadlineOutcome));
      child.once("exit", (code, signal) => reject(new Error(`the process ended: ${signal ?? code}`)));
      child.send(asked);
    });
  } finally {
    child.kill("SIGKILL");
  }
}

async function answer({ model, providers }: Asked): Promise<void> {
  const loaded = await createOnnxRuntime().load(Uint8Array.from(model), { providers });
  process.send?.(await giveUpAtDeadline(loaded));
}

if (process.argv[1] === new URL(import.meta.url).pathname) process.on("message", (asked: Asked) => void answer(asked));
