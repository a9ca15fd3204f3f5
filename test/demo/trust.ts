import type { Release } from "@fairlead/protocol";
import { digitModelPath } from "../support/digits.ts";
import type { Claims } from "./claims.ts";
import { versions, type DemoFleet } from "./fleet.ts";
import { narrator } from "./narrator.ts";

const victims = ["berlin-1", "porto-1"];

async function done(fleet: DemoFleet, ...args: string[]): Promise<void> {
  const answer = await fleet.cli(args);
  if (answer.code !== 0) throw new Error(`${args.join(" ")}: ${answer.stderr}`);
}

async function push(fleet: DemoFleet, version: string): Promise<void> {
  const file = digitModelPath(versions[1].file);
  const golden = digitModelPath(`golden-${versions[1].version}.json`);
  const which = ["--model", "digit-reader", "--version", version, "--golden", golden];
  await done(fleet, "models", "push", file, ...which, "--classification", "probabilities:0,1,2,3,4,5,6,7,8,9");
}

/** A team joins, releases, and loses its key: whoever holds the plane and that key can make no device run anything. */
export async function refuseRevoked(fleet: DemoFleet, claims: Claims): Promise<void> {
  narrator.chapter("keys: the publisher changes its key; another publisher is revoked after it signed 1.3.0");
  await done(fleet, "keys", "generate", "publisher-2", "contractor");
  await done(fleet, "keys", "rotate", "publisher", "--add", "publisher-2", "--remove", "publisher");
  await done(fleet, "trust", "delegate", "contractor", "--key", "contractor", "--models", "digit-*");
  await done(fleet, "releases", "publish");
  await push(fleet, "1.3.0");
  await done(fleet, "releases", "sign", "digit-reader", "1.3.0", "--as", "contractor");
  await done(fleet, "trust", "revoke", "contractor");
  await done(fleet, "releases", "publish");
  fleet.enter("revoked");
  const where = ["--model", "digit-reader", "--slot", "reader", "--selector", "role=canary"];
  const asked = await fleet.cli(["rollouts", "create", ...where, "--version", "1.3.0", "--stages", "all=100%"]);
  narrator.say(asked.stderr.split("\n")[0] ?? "");
  const { items } = await fleet.plane.get<{ items: { signed: Release }[] }>("/api/v1/releases?limit=100");
  const released = items.find(({ signed }) => signed.content.version === "1.3.0")?.signed.releaseId ?? "none";
  // With the updater that devices run, from the root that they trust.
  const judged = await fleet.cli(["releases", "verify", released]);
  narrator.say(judged.stderr.split("\n")[0] ?? "");
  const running = await Promise.all(victims.map((name) => fleet.plane.device(name)));
  claims.check(
    "a release of a revoked publisher was refused, by the plane before anybody was asked and by what devices ask",
    asked.stderr.includes("release_not_vouched") &&
      judged.code !== 0 &&
      judged.stderr.includes("trust_refused") &&
      running.every(({ slots }) => slots.some((slot) => slot.running?.version === "1.1.0")),
  );
  const last = (await fleet.cli(["releases", "sign", "digit-reader", "1.1.0"])).code;
  claims.check("the publisher that changed its key signs on", last === 0);
}
