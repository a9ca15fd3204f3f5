import { createServer } from "node:http";
import { Readable } from "node:stream";
import { json } from "node:stream/consumers";
import { run } from "@fairlead/cli/run";
import type { CliAnswer, CliCall } from "./cli.ts";

/* The command line without its start, for what tests only prepare with it: `POST` of a call to the socket in the argument. */

async function answer({ args, env }: CliCall): Promise<CliAnswer> {
  const text = { out: "", err: "" };
  const code = await run({
    ...{ args, env, version: "0", nowMs: () => Date.now(), signal: new AbortController().signal },
    streams: { out: { write: (more) => (text.out += more) }, err: { write: (more) => (text.err += more) } },
    stdin: Readable.from([]),
  });
  return { code, stdout: text.out, stderr: text.err };
}

const server = createServer((request, response) => {
  json(request)
    .then((call) => answer(call as CliCall))
    .then((done) => response.end(JSON.stringify(done)))
    .catch((error: unknown) => response.destroy(error as Error));
});
// A command may wait for minutes.
server.requestTimeout = 0;
server.listen(process.argv[2], () => process.send?.("listening"));
process.once("disconnect", () => process.exit(0));
