import { createServer } from "node:http";
import { Readable } from "node:stream";
import { json } from "node:stream/consumers";
import { run } from "@fairlead/cli/run";
import type { CliAnswer, CliCall } from "./cli.ts";

/* The command line without its start, for what tests only prepare with it: `POST` of a call to the socket in the argument. */

async function answer({ args, env }: CliCall): Promise<string> {
  const text = { out: "", err: "" };
  const code = await run({
    ...{ args, env, version: "0", nowMs: () => Date.now(), signal: new AbortController().signal },
    streams: { out: { write: (more) => (text.out += more) }, err: { write: (more) => (text.err += more) } },
    stdin: Readable.from([]),
  });
  return JSON.stringify({ code, stdout: text.out, stderr: text.err } satisfies CliAnswer);
}

const server = createServer((request, response) => {
  const reply = async (): Promise<void> => void response.end(await answer((await json(request)) as CliCall));
  reply().catch((error: unknown) => response.destroy(error as Error));
});
// A command may wait for minutes.
server.requestTimeout = 0;
server.listen(process.argv[2], () => process.send?.("listening"));
process.once("disconnect", () => process.exit(0));
