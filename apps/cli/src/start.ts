import { readFileSync, writeFileSync } from "node:fs";
import { keepMemoryOutOfCoreFiles } from "@fairlead/kernel";
import { run } from "./run.ts";

keepMemoryOutOfCoreFiles(writeFileSync);
const interrupt = new AbortController();
// The first interrupt ends what waits; the second ends the process as usual.
process.once("SIGINT", () => interrupt.abort());
process.once("SIGTERM", () => interrupt.abort());
// A reader that went away (`| head`) is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  version: string;
};
const args = process.argv.slice(2);
process.exitCode = await run({
  args,
  env: process.env,
  streams: { out: process.stdout, err: process.stderr },
  stdin: process.stdin,
  signal: interrupt.signal,
  nowMs: () => Date.now(),
  version,
});
if (interrupt.signal.aborted) process.exitCode = 130;
