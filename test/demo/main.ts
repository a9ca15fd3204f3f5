import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { fillGaps } from "./batch.ts";
import { chooseBuild } from "./choice.ts";
import { Claims } from "./claims.ts";
import { DemoFleet } from "./fleet.ts";
import { narrator } from "./narrator.ts";
import { provePlacement } from "./placement.ts";
import { shadowBad } from "./shadow.ts";
import { healTampered, installEverywhere, promoteBetter, stopBad } from "./story.ts";
import { refuseRevoked } from "./trust.ts";
import { checkRequests, printClaims, printSummary, readEnergy } from "./summary.ts";

const { values } = parseArgs({ options: { keep: { type: "boolean", default: false } } });
const dir = mkdtempSync(join(tmpdir(), "fairlead-demo-"));
const claims = new Claims();
const fleet = new DemoFleet(dir);
let failure: Error | undefined;

process.once("SIGINT", () => void fleet[Symbol.asyncDispose]().finally(() => process.exit(130)));

try {
  narrator.chapter("a control plane and six agents on this machine");
  await fleet.start();
  await installEverywhere(fleet, claims);
  await promoteBetter(fleet, claims);
  await fillGaps(fleet, claims);
  await chooseBuild(fleet, claims);
  await provePlacement(fleet, claims);
  const stopped = await stopBad(fleet, claims);
  await shadowBad(fleet, claims);
  await refuseRevoked(fleet, claims);
  const heal = await healTampered(fleet, claims);
  const energies = await readEnergy(fleet, claims);
  await fleet.stopLoad();
  checkRequests(fleet, claims, heal.device);
  printSummary(fleet, { stopped, heal, energies });
} catch (error) {
  failure = error instanceof Error ? error : new Error("the story broke off", { cause: error });
}

printClaims(claims);
if (failure !== undefined) {
  narrator.say(`the story broke off: ${failure.message}`);
  narrator.say(`logs are in ${dir}`);
}
const held = failure === undefined && claims.held;

if (values.keep) {
  narrator.chapter("still running; press Ctrl+C to end it");
  narrator.say(`status page: ${fleet.plane.url}/   token: ${fleet.plane.token}`);
  narrator.say(`npm run fairlead -- contexts add demo --server ${fleet.plane.url} --token ${fleet.plane.token}`);
  narrator.say("npm run fairlead -- devices list");
  narrator.say("npm run fairlead -- rollouts list");
  narrator.say("npm run fairlead -- audit list --verify");
  await new Promise(() => setInterval(() => undefined, 60_000));
}
await fleet[Symbol.asyncDispose]();
if (held) rmSync(dir, { recursive: true, force: true });
process.exit(held ? 0 : 1);
