import { detectProfile, loadProfiles, openHardware } from "@fairlead/hardware";
import { CodedError, toErrorCode, toErrorMessage } from "@fairlead/kernel";
import { caResponseSchema } from "@fairlead/protocol";
import { accessSync, constants } from "node:fs";
import { connect } from "node:tls";
import { loadConfig, type AgentConfig } from "../config.ts";
import { describeAssurance } from "../enrol/assurance.ts";
import { toCertificateLife } from "../enrol/certificate-life.ts";
import { loadIdentity, type Identity } from "../enrol/identity.ts";
import { callPlane } from "../enrol/plane-http.ts";
import { toDataPaths } from "../paths.ts";
import { profilesFolder } from "../places.ts";
import { checkEndpoint } from "./check-endpoint.ts";
import { checkTpm } from "./check-tpm.ts";
import { checkRuntimes, checkSidecars } from "./check-runtimes.ts";
import { isRunning } from "../lock.ts";

type Check = () => Promise<string>;

async function checkIdentity(identity: Identity): Promise<string> {
  const name = `${identity.device} of ${identity.tenant}`;
  if (identity.key.kind === "tpm") return `${name}, key ${describeAssurance(identity.assurance)}`;
  const { leftDays, warning } = toCertificateLife(identity.certificatePem, Date.now());
  if (leftDays < 0) throw new Error(warning ?? "the certificate expired");
  return `${name}, key ${describeAssurance(identity.assurance)}, certificate good for ${leftDays} days`;
}

function checkBroker(identity: Identity): Promise<string> {
  const url = new URL(identity.mqttUrl);
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: url.hostname,
      port: Number(url.port === "" ? 8_883 : url.port),
      ca: identity.caPem,
      // A session of its own would end the agent's; that the broker answers can be seen without one.
      ...(identity.key.kind === "tpm" ? {} : { cert: identity.certificatePem, key: identity.key.pem }),
      servername: url.hostname,
      timeout: 10_000,
    });
    socket.once("secureConnect", () => {
      socket.destroy();
      resolve(`${url.host} accepts TLS connections`);
    });
    socket.once("timeout", () => socket.destroy(new Error(`${url.host} does not answer`)));
    socket.once("error", reject);
  });
}

async function checkHardware({ hardwareRoot: root }: AgentConfig, diskPath: string): Promise<string> {
  const profile = await detectProfile(await loadProfiles(profilesFolder), { root });
  const probe = await openHardware({ profile, root, diskPath });
  try {
    const skipped = probe.skippedSources.map(({ source, reason }) => `${source} skipped: ${reason}`);
    const { kind, source } = probe.energySource;
    return [`${profile.metadata.name}, energy ${kind} from ${source}`, ...skipped].join("; ");
  } finally {
    await probe.close();
  }
}

/** What was found, what is missing, what it means. Exit status 1 when something that the agent needs is missing. */
export async function runDoctor(root: string): Promise<number> {
  const paths = toDataPaths(root);
  let identity: Identity | undefined;
  const known = (): Identity => {
    if (identity === undefined) throw new Error("not known without an identity");
    return identity;
  };
  const checks: readonly (readonly [string, Check])[] = [
    [
      "configuration",
      async () => {
        await loadConfig(root, process.env);
        return "good";
      },
    ],
    [
      "data folder",
      async () => {
        accessSync(root, constants.R_OK | constants.W_OK);
        return root;
      },
    ],
    ["identity", () => checkIdentity((identity = loadIdentity(paths.identity)))],
    ["tpm", async () => checkTpm(await loadConfig(root, process.env), identity?.key ?? null, paths.run)],
    ["hardware", async () => checkHardware(await loadConfig(root, process.env), root)],
    ["serving", async () => checkRuntimes(await loadConfig(root, process.env))],
    ["endpoint", async () => checkEndpoint(await loadConfig(root, process.env), paths, isRunning(root))],
    ["sidecars", async () => checkSidecars(await loadConfig(root, process.env), root)],
    [
      "plane",
      async () => {
        const url = new URL("/api/v1/ca", known().apiUrl).href;
        await callPlane({ url, ca: known().caPem, schema: caResponseSchema });
        return `${known().apiUrl} answers`;
      },
    ],
    ["broker", () => checkBroker(known())],
  ];
  let failed = false;
  for (const [name, check] of checks) {
    try {
      process.stdout.write(`ok    ${name}: ${await check()}\n`);
    } catch (error) {
      failed = true;
      const hint = error instanceof CodedError && error.hint !== undefined ? `      → ${error.hint}\n` : "";
      process.stdout.write(`FAIL  ${name}: ${toErrorMessage(error)} (${toErrorCode(error) ?? "unexpected"})\n${hint}`);
    }
  }
  return failed ? 1 : 0;
}
