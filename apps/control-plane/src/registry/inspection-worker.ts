import { platform, setPriority } from "node:os";
import { parentPort } from "node:worker_threads";
import { CodedError, toErrorCode, toErrorMessage } from "@fairlead/kernel";
import { inspectFile, type InspectionJob } from "./inspect-upload.ts";
import type { InspectionAnswer } from "./inspection-threads.ts";

/* The thread in which files of strangers are looked into, one at a time. */

function toRefusal(error: unknown): InspectionAnswer {
  const { hint, details } = error instanceof CodedError ? error : { hint: undefined, details: {} };
  return { kind: "refused", code: toErrorCode(error) ?? "internal", message: toErrorMessage(error), hint, details };
}

async function answer(job: InspectionJob): Promise<InspectionAnswer> {
  try {
    return { kind: "inspected", inspection: await inspectFile(job) };
  } catch (error) {
    return toRefusal(error);
  }
}

/** Linux counts niceness by thread (setpriority(2)): where processors are few, requests go before looking into files. */
const niceness = 5;
if (platform() === "linux") setPriority(0, niceness);
parentPort?.on("message", (job: InspectionJob) => {
  void answer(job).then((given) => parentPort?.postMessage(given));
});
