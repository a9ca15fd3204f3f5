import { toErrorMessage } from "@fairlead/kernel";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { readEndpoint } from "../link/endpoint-file.ts";
import { describeAssurance } from "../enrol/assurance.ts";
import { loadIdentity } from "../enrol/identity.ts";
import { isRunning } from "../lock.ts";
import { slotRecordSchema } from "../models/slot-record.ts";
import { toDataPaths } from "../paths.ts";
import { toTroubleText } from "../serving/start-trouble.ts";
import { readServingTrouble } from "../serving/trouble-file.ts";
import { openStateFile } from "../state/state-file.ts";

function countWaiting(path: string): number | null {
  try {
    const database = new DatabaseSync(path, { readOnly: true });
    try {
      return Number(database.prepare("SELECT count(*) AS items FROM items").get()?.["items"] ?? 0);
    } finally {
      database.close();
    }
  } catch {
    return null;
  }
}

/** What the data folder says, whether or not the agent runs. Exit status 1 when the device is not enrolled. */
export function showStatus(root: string, asJson: boolean): number {
  const paths = toDataPaths(root);
  const { device, tenant, profile, apiUrl, assurance } = loadIdentity(paths.identity);
  const slots = readdirSync(paths.slots)
    .filter((file) => file.endsWith(".json"))
    .flatMap((file) => {
      try {
        const loaded = openStateFile(join(paths.slots, file), slotRecordSchema).load();
        return loaded.kind === "loaded" || loaded.kind === "recovered" ? [loaded.value] : [];
      } catch (error) {
        process.stderr.write(`${file}: ${toErrorMessage(error)}\n`);
        return [];
      }
    });
  const running = isRunning(paths.root);
  const trouble = running ? readServingTrouble(paths) : null;
  const status = {
    device,
    tenant,
    profile,
    plane: apiUrl,
    assurance,
    running,
    endpoint: running ? readEndpoint(paths) : null,
    trouble,
    waitingForPlane: countWaiting(paths.outbox),
    slots: slots.map(({ slot, active, previous, candidate, job, stopped, distrusted }) => ({
      slot,
      active: active === null ? null : `${active.model} ${active.version}`,
      previous: previous === null ? null : `${previous.model} ${previous.version}`,
      candidate: candidate === null ? null : `${candidate.build.model} ${candidate.build.version} (${candidate.phase})`,
      job: job === null ? null : { state: job.state, code: job.code, reason: job.reason },
      stopped: stopped?.reason ?? null,
      distrusted,
    })),
  };
  if (asJson) {
    process.stdout.write(`${JSON.stringify(status, null, 2)}\n`);
    return 0;
  }
  const lines = [
    `${device} (${profile}), tenant ${tenant}, plane ${apiUrl}`,
    `the agent ${status.running ? "runs" : "does not run"}; ${status.waitingForPlane ?? "an unknown number of"} messages wait for the plane`,
    `its key is ${describeAssurance(assurance)}`,
    `inference endpoint: ${status.endpoint ?? "none"}${trouble === null ? "" : `, ${toTroubleText(trouble)}`}`,
    ...status.slots.map((slot) => {
      const job =
        slot.job === null ? "no job" : `${slot.job.state}${slot.job.code === null ? "" : ` (${slot.job.code})`}`;
      const stopped = slot.stopped === null ? "" : `, stopped: ${slot.stopped}`;
      return `slot ${slot.slot}: ${slot.active ?? "empty"}, before ${slot.previous ?? "nothing"}, ${job}${stopped}`;
    }),
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
  return 0;
}
