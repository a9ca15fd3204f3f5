import { writeSync } from "node:fs";
import { openOutbox } from "../outbox.ts";
import { toTelemetry } from "./bodies.ts";

// A process to be killed: says each sequence number after the append has returned.
const path = process.argv[2];
if (path === undefined) throw new Error("give the path of the outbox");
const outbox = openOutbox({
  path,
  clock: { nowMs: () => Date.now(), monotonicMs: () => performance.now() },
  createEpoch: () => "epoch0001",
  source: "/devices/cam-1",
});
for (;;) {
  const result = outbox.append("telemetry", toTelemetry(outbox.lastSeq + 1));
  if (result.kind === "refused") throw new Error(result.reason);
  writeSync(1, `${result.seq}\n`);
}
