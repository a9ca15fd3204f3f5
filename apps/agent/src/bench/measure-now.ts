import { CodedError } from "@fairlead/kernel";
import type { SlotChoice } from "@fairlead/protocol";
import { setTimeout as wait } from "node:timers/promises";
import { isRunning } from "../lock.ts";
import { toDataPaths } from "../paths.ts";
import { requestMeasurement } from "./measure-requests.ts";
import { readSlotChoices } from "./show-bench.ts";

const pollMs = 250;
const longestMs = 1_800_000;

/**
 * Has the running agent measure the builds of these slots again, whatever it knows, and waits for the numbers. The
 * agent does it, since it owns the files and switches when another build is the better one now.
 * @throws CodedError `not_measured` · `agent_not_running` · `measuring_timeout`
 */
export async function measureNow(root: string, slot: string | undefined): Promise<void> {
  const before = readSlotChoices(root, slot);
  for (const [name] of before) {
    requireRunning(root);
    requestMeasurement(toDataPaths(root).measure, name);
    process.stderr.write(`slot ${name}: its builds are measured again\n`);
  }
  const deadlineMs = performance.now() + longestMs;
  while (!before.every(([name, choice]) => isNewer(root, name, choice))) {
    requireRunning(root);
    if (performance.now() > deadlineMs)
      throw new CodedError("measuring_timeout", `no numbers within ${longestMs / 60_000} minutes`, {
        hint: "the agent goes on; see its log, and fairlead-agent bench later",
      });
    await wait(pollMs);
  }
}

/** Also true when the slot has got another release or nothing to choose from meanwhile: nothing more will come. */
function isNewer(root: string, slot: string, before: SlotChoice): boolean {
  try {
    const now = readSlotChoices(root, slot)[0]?.[1];
    return now?.releaseId !== before.releaseId || now.measuredAtMs !== before.measuredAtMs;
  } catch (error) {
    if (error instanceof CodedError && error.code === "not_measured") return true;
    throw error;
  }
}

function requireRunning(root: string): void {
  if (isRunning(root)) return;
  throw new CodedError("agent_not_running", "the agent of this data folder does not run", {
    hint: "only the running agent measures: fairlead-agent run",
  });
}
