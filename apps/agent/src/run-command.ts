import { toErrorMessage, type Logger } from "@fairlead/kernel";
import { openAgent } from "./agent.ts";
import { loadConfig, type AgentConfig } from "./config.ts";
import { finishWipe } from "./decommission/finish-wipe.ts";
import { isWiping, noteWipe, readWipeIntent } from "./decommission/wipe-intent.ts";
import { toCertificateLife } from "./enrol/certificate-life.ts";
import { loadIdentity } from "./enrol/identity.ts";
import { lockDataFolder } from "./lock.ts";
import { createLogger } from "./log.ts";
import { systemClock } from "./system-clock.ts";
import { createDataFolders, toDataPaths, type DataPaths } from "./paths.ts";
import { toTpmOfKey } from "./tpm/tpm-config.ts";

function openLog(config: AgentConfig, device: string): Logger {
  const write = (line: string) => void process.stderr.write(line);
  // Whoever reads the log may go away: models are served all the same.
  process.stderr.on("error", () => undefined);
  const pretty = process.stderr.isTTY;
  return createLogger({ level: config.logLevel, write, pretty, nowMs: () => Date.now() }, { device });
}

function onSignals(listener: (signal: string) => void): void {
  for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, () => listener(signal));
}

/** Nothing of the agent is opened while this device becomes empty, so that it never serves again. */
async function wipe(paths: DataPaths, config: AgentConfig, logger: Logger): Promise<void> {
  const ended = new AbortController();
  onSignals(() => ended.abort());
  logger.warn("this device was told to become empty", { ...readWipeIntent(paths) });
  await finishWipe({ paths, tpm: toTpmOfKey(config.tpm), logger, random: () => Math.random(), signal: ended.signal });
}

/** Runs until it is asked to end: by a signal, or by its plane for good. */
export async function runAgent(data: string): Promise<void> {
  const paths = toDataPaths(data);
  if (isWiping(paths)) {
    const config = await loadConfig(paths.root, process.env);
    const logger = openLog(config, readWipeIntent(paths)?.device ?? "unknown");
    const lock = lockDataFolder(paths.root);
    await wipe(paths, config, logger);
    return lock.release();
  }
  const identity = loadIdentity(paths.identity);
  createDataFolders(paths);
  const config = await loadConfig(paths.root, process.env);
  const logger = openLog(config, identity.device);
  const { warning } = toCertificateLife(identity.certificatePem, Date.now());
  // A key in a TPM gets a new certificate for each session, whatever became of its first one.
  if (warning !== null && identity.key.kind === "file")
    logger.warn(warning, { hint: "fairlead-agent enrol with a new token keeps the models" });
  const lock = lockDataFolder(paths.root);
  const { promise: asked, resolve: ask } = Promise.withResolvers<string>();
  onSignals(ask);
  const beginWipe = (): void =>
    noteWipe({ paths, device: identity.device, clock: systemClock, logger, onWipe: () => ask("decommission") });
  const agent = await openAgent({ paths, config, identity, logger, beginWipe });
  await agent.start();
  logger.info("the agent runs", { data: paths.root });
  logger.info("the agent ends", { signal: await asked });
  await agent.stop().catch((error: unknown) => {
    if (!isWiping(paths)) throw error;
    logger.error("a part of the agent did not end well", { reason: toErrorMessage(error) });
  });
  if (isWiping(paths)) await wipe(paths, config, logger);
  lock.release();
}
