import { writeFileSync } from "node:fs";
import { keepMemoryOutOfCoreFiles, toErrorCode, toErrorMessage, withoutSecrets, type Clock } from "@fairlead/kernel";
import { ensureAdminToken } from "./authority/admin-token.ts";
import { parseConfig, toReachWarning, usage } from "./config.ts";
import { createId } from "./create-id.ts";
import { createLogger } from "./logger.ts";
import { openPlane } from "./plane.ts";

const clock: Clock = { nowMs: () => Date.now(), monotonicMs: () => performance.now() };

const print = (text: string) =>
  new Promise<void>((resolve, reject) => {
    process.stdout.write(`${text}\n`, (error) => (error ? reject(error) : resolve()));
  });

async function run(): Promise<void> {
  if (process.argv.includes("--help")) return await print(usage);
  process.umask(0o077);
  const config = parseConfig(process.argv.slice(2), process.env);
  const logger = createLogger(config.logLevel);
  const plane = await openPlane({ config, clock, logger });

  let stopping: Promise<void> | undefined;
  const stop = (signal: string) => {
    stopping ??= (async () => {
      logger.info("stopping", { signal });
      await plane.stop();
      process.exit(0);
    })().catch((error: unknown) => fail(error));
  };
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);

  await ensureAdminToken({
    store: plane.store,
    audit: plane.audit,
    authorityFingerprint: plane.authority.fingerprint,
    createId: (prefix) => createId(prefix, clock.nowMs()),
    nowMs: clock.nowMs(),
    isForced: config.newAdminToken,
    print: (token, expiresAtMs) => {
      const until = new Date(expiresAtMs).toISOString().slice(0, 10);
      return print(`Administrator token (shown only now; keep it; good until ${until}):\n\n  ${token}\n`);
    },
  });
  await plane.start();
  await print(
    [
      `Control plane  ${plane.apiUrl()}`,
      `Device link    ${plane.mqttUrl()}`,
      `Data folder    ${config.dataFolder}`,
      `Next           npm run -s fairlead -- contexts add local --server ${plane.apiUrl()} --token <token>`,
    ].join("\n"),
  );
  const warning = toReachWarning(config);
  if (warning !== null) process.stderr.write(`warning: ${warning}\n`);
  if (config.jsonReady) await print(JSON.stringify({ ready: true, apiUrl: plane.apiUrl(), mqttUrl: plane.mqttUrl() }));
}

/** The one place where an error becomes an exit code. */
function fail(error: unknown): never {
  const hint = typeof error === "object" && error !== null && "hint" in error ? error.hint : undefined;
  const code = toErrorCode(error);
  process.stderr.write(`error: ${withoutSecrets(toErrorMessage(error))}${code === undefined ? "" : ` (${code})`}\n`);
  if (typeof hint === "string") process.stderr.write(`hint: ${hint}\n`);
  if (code === undefined && error instanceof Error) process.stderr.write(`${withoutSecrets(error.stack ?? "")}\n`);
  process.exit(1);
}

keepMemoryOutOfCoreFiles(writeFileSync);
// A state that nobody foresaw is not served from: the process ends, and a restart plans anew from disk.
process.on("unhandledRejection", fail);
process.on("uncaughtException", fail);
run().catch(fail);
