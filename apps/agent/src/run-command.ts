import { openAgent } from "./agent.ts";
import { loadConfig } from "./config.ts";
import { toCertificateLife } from "./enrol/certificate-life.ts";
import { loadIdentity } from "./enrol/identity.ts";
import { lockDataFolder } from "./lock.ts";
import { createLogger } from "./log.ts";
import { createDataFolders, toDataPaths } from "./paths.ts";

/** Runs until it is asked to end by a signal. */
export async function runAgent(data: string): Promise<void> {
  const paths = toDataPaths(data);
  const identity = loadIdentity(paths.identity);
  createDataFolders(paths);
  const config = await loadConfig(paths.root, process.env);
  const write = (line: string) => void process.stderr.write(line);
  const pretty = process.stderr.isTTY;
  const logger = createLogger(
    { level: config.logLevel, write, pretty, nowMs: () => Date.now() },
    { device: identity.device },
  );
  const { warning } = toCertificateLife(identity.certificatePem, Date.now());
  // A key in a TPM gets a new certificate for each session, whatever became of its first one.
  if (warning !== null && identity.key.kind === "file")
    logger.warn(warning, { hint: "fairlead-agent enrol with a new token keeps the models" });
  const lock = lockDataFolder(paths.root);
  const agent = await openAgent({ paths, config, identity, logger });
  const asked = new Promise<string>((resolve) => {
    process.once("SIGTERM", () => resolve("SIGTERM"));
    process.once("SIGINT", () => resolve("SIGINT"));
  });
  await agent.start();
  logger.info("the agent runs", { data: paths.root });
  logger.info("the agent ends", { signal: await asked });
  await agent.stop();
  lock.release();
}
