#!/usr/bin/env node
import { CodedError, keepMemoryOutOfCoreFiles, toErrorCode, toErrorMessage, withoutSecrets } from "@fairlead/kernel";
import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";

/* The command line: which part runs. Each part is imported only when it is asked for, so that `run` carries no other. */

const usage = `fairlead-agent: serves models on this device and keeps them honest

  enrol   --server URL --token TOKEN --device NAME [--label key=value]… [--trust-root FILE] [--data FOLDER]
          --endorsed --ca-fingerprint HEX             instead of a token: by this TPM's endorsement key
          [--new-key]                                 erases the present key and makes another
  run     [--data FOLDER]
  status  [--data FOLDER] [--json]
  bench   [--data FOLDER] [--slot SLOT] [--json]      the builds that were measured here, the losing ones too
          [--measure]                                 has the running agent measure them again first
  doctor  [--data FOLDER]

FOLDER holds everything that the agent knows; default ./agent. Its config.yaml may set what differs from the defaults.
`;

function require(value: string | undefined, name: string): string {
  if (value !== undefined && value !== "") return value;
  throw new CodedError("usage", `--${name} is missing`, { hint: "see fairlead-agent --help" });
}

/**
 * The supervisor waits far more than it computes, so it runs without the optimising compilers and their threads and with
 * a small young generation. V8 reads them only at its start: the process replaces itself (execve(2)), and keeps
 * its id, its streams and whoever watches it. Source needs WebAssembly to be stripped of its types, which
 * `--lite-mode` may not have, so only the bundle does this.
 */
const smallFlags = [
  "--lite-mode",
  "--optimize-for-size",
  "--single-threaded",
  "--max-semi-space-size=1",
  "--v8-pool-size=0",
] as const;

function becomeSmall(): void {
  const bundled = !import.meta.url.endsWith(".ts");
  if (!bundled || process.execve === undefined || process.execArgv.includes(smallFlags[0])) return;
  process.execve(process.execPath, [process.argv0, ...smallFlags, ...process.execArgv, ...process.argv.slice(1)]);
}

async function main(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      server: { type: "string" },
      token: { type: "string" },
      endorsed: { type: "boolean", default: false },
      "ca-fingerprint": { type: "string" },
      device: { type: "string" },
      data: { type: "string", default: "./agent" },
      "trust-root": { type: "string" },
      label: { type: "string", multiple: true, default: [] },
      "new-key": { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      measure: { type: "boolean", default: false },
      slot: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const [command, ...rest] = positionals;
  if (values.help || command === undefined) {
    process.stdout.write(usage);
    return values.help ? 0 : 2;
  }
  if (rest.length > 0)
    throw new CodedError("usage", `unknown argument ${rest[0]}`, { hint: "see fairlead-agent --help" });
  const data = resolve(values.data);
  switch (command) {
    case "enrol": {
      const { runEnrol } = await import("./enrol/enrol-command.ts");
      const { parseCaFingerprint, toCaFingerprint } = await import("./enrol/token.ts");
      const toTokenRight = (token: string) =>
        ({ kind: "token", token, caFingerprint: toCaFingerprint(token) }) as const;
      await runEnrol({
        server: require(values.server, "server"),
        right: values.endorsed
          ? {
              kind: "endorsement",
              caFingerprint: parseCaFingerprint(require(values["ca-fingerprint"], "ca-fingerprint")),
            }
          : toTokenRight(require(values.token ?? process.env["FAIRLEAD_TOKEN"], "token")),
        device: require(values.device, "device"),
        data,
        labels: values.label,
        newKey: values["new-key"],
        trustRoot: values["trust-root"],
      });
      return 0;
    }
    case "run": {
      becomeSmall();
      const { runAgent } = await import("./run-command.ts");
      await runAgent(data);
      return 0;
    }
    case "status": {
      const { showStatus } = await import("./doctor/status.ts");
      return showStatus(data, values.json);
    }
    case "bench": {
      const { showBench } = await import("./bench/show-bench.ts");
      if (values.measure) {
        const { measureNow } = await import("./bench/measure-now.ts");
        await measureNow(data, values.slot);
      }
      return showBench(data, { slot: values.slot, json: values.json });
    }
    case "doctor": {
      const { runDoctor } = await import("./doctor/doctor.ts");
      return runDoctor(data);
    }
    default:
      throw new CodedError("usage", `unknown command ${command}`, { hint: "one of enrol, run, status, bench, doctor" });
  }
}

keepMemoryOutOfCoreFiles(writeFileSync);
// A reader that went away (`| head`) is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
const args = process.argv.slice(2);
// Arguments may hold a token: in the process list this stands in their place.
if (args.includes("enrol")) process.title = "fairlead-agent enrol";
try {
  process.exitCode = await main(args);
} catch (error) {
  const hint = error instanceof CodedError && error.hint !== undefined ? `\n  → ${error.hint}` : "";
  const message = `fairlead-agent: ${toErrorMessage(error)} (${toErrorCode(error) ?? "unexpected"})${hint}\n`;
  process.stderr.write(withoutSecrets(message));
  const code = toErrorCode(error) ?? "";
  process.exitCode = code === "usage" || code.startsWith("ERR_PARSE_ARGS") ? 2 : 1;
}
