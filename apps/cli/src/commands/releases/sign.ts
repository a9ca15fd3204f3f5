import { toReleaseTargetPath } from "@fairlead/artifacts/tuf";
import { audienceSchema, type Audience, type Release } from "@fairlead/protocol";
import { readFileSync } from "node:fs";
import type { Command, CommandContext, Input } from "../../command.ts";
import { CliError, toUsageError } from "../../errors.ts";
import { parseDuration } from "../../parse-duration.ts";
import { parseMoment } from "../../parse-moment.ts";
import type { ListView, Output } from "../../output/output.ts";
import { publishFolder, verifyRelease } from "../../trust/exchange.ts";
import { readManifest } from "../../trust/manifest-file.ts";
import { signRelease as sign, type SignOptions } from "../../trust/sign-release.ts";
import { TrustFolder } from "../../trust/trust-folder.ts";
import { verifyInFolder } from "../../trust/verify-folder.ts";
import { openWorkplace, trustOptions } from "../../trust/workplace.ts";

function releaseView(out: Output): ListView<Release> {
  return {
    name: (release) => release.releaseId,
    empty: "no releases: fairlead releases sign MODEL VERSION makes one",
    columns: [
      { title: "RELEASE", cell: (release) => release.releaseId },
      { title: "MODEL", cell: (release) => release.content.model },
      { title: "VERSION", cell: (release) => release.content.version },
      { title: "BUILDS", cell: (release) => String(release.content.builds.length) },
      { title: "ISSUED", cell: (release) => out.toAge(release.issuedAtMs) },
      { title: "EXPIRES", cell: (release) => new Date(release.expiresAtMs).toISOString().slice(0, 10) },
      { title: "TARGET", cell: (release) => toReleaseTargetPath(release), wide: true },
    ],
  };
}

function toAudience(input: Input): Audience {
  const [profiles, fleets, minAgentVersion] = [
    input.many("forProfile"),
    input.many("forFleet"),
    input.text("minAgent"),
  ];
  const firmware = Object.fromEntries(
    input.many("minFirmware").map((entry) => {
      const at = entry.indexOf("=");
      return [entry.slice(0, Math.max(0, at)), entry.slice(at + 1)];
    }),
  );
  const audience = audienceSchema.safeParse({
    ...(profiles.length === 0 ? {} : { profiles }),
    ...(fleets.length === 0 ? {} : { fleets }),
    ...(minAgentVersion === undefined ? {} : { minAgentVersion }),
    ...(Object.keys(firmware).length === 0 ? {} : { firmware }),
  });
  if (audience.success) return audience.data;
  throw toUsageError(audience.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; "));
}

/** From when to when devices accept it. */
function toLife(input: Input, nowMs: number): Pick<SignOptions, "expiresAtMs" | "notBeforeMs"> {
  const [ttl, expires, notBefore] = [input.text("ttl"), input.text("expires"), input.text("notBefore")];
  if (ttl !== undefined && expires !== undefined) throw toUsageError("--ttl and --expires say the same: give one");
  const expiresAtMs = expires === undefined ? nowMs + parseDuration(ttl ?? "365d") : parseMoment(expires, nowMs);
  const notBeforeMs = notBefore === undefined ? null : parseMoment(notBefore, nowMs);
  if (expiresAtMs <= Math.max(nowMs, notBeforeMs ?? 0))
    throw toUsageError("the release would end before anybody may take it", "give a later --expires or a longer --ttl");
  return { expiresAtMs, notBeforeMs };
}

export const signRelease: Command = {
  noun: "releases",
  verb: "sign",
  summary: "Sign with a publisher's key that a registered version may be installed, and publish it",
  arguments: [
    { syntax: "<model>", description: "model name" },
    { syntax: "<version>", description: "semantic version" },
  ],
  options: [
    { flags: "--as <publisher>", description: "who signs", default: "publisher" },
    { flags: "--ttl <duration>", description: "how long devices accept it (365d, unless --expires is given)" },
    {
      flags: "--expires <time>",
      description: "when devices stop to accept it: 2027-01-31, a time with its zone, or 30d",
    },
    { flags: "--not-before <time>", description: "devices wait until then before they accept it" },
    {
      flags: "--for-profile <name>",
      description: "kind of board (repeatable); default: what its builds run on",
      repeatable: true,
    },
    { flags: "--for-fleet <name>", description: "fleet, as devices are configured (repeatable)", repeatable: true },
    { flags: "--min-agent <version>", description: "the oldest agent that may run it" },
    {
      flags: "--min-firmware <name=version>",
      description: "the oldest os.kernel, firmware.version or l4t.version below the agent (repeatable)",
      repeatable: true,
    },
    { flags: "--tenant <name>", description: "tenant of the plane", default: "default" },
    {
      flags: "--manifest <file>",
      description: "what fairlead models describe MODEL VERSION -o json wrote, instead of asking the plane",
    },
    { flags: "--no-publish", description: "only sign; fairlead releases publish hands it on" },
    ...trustOptions,
  ],
  help: `With --manifest and --no-publish no server is asked: sign where the key is, then carry the folder without its keys to where the
plane can be reached, and run fairlead releases publish there.`,
  async run(context, input) {
    const { client, out } = context;
    const manifest = input.text("manifest");
    const [model = "", version = ""] = input.args;
    const audience = toAudience(input);
    const release = await sign(client, openWorkplace(context, input), {
      content: manifest === undefined ? null : readManifest(manifest, model, version),
      ...{ model, version },
      publisher: input.required("as"),
      ...toLife(input, context.nowMs()),
      audience: Object.keys(audience).length === 0 ? null : audience,
      tenant: input.required("tenant"),
      publish: input.flag("publish") !== false,
    });
    out.list([release], releaseView(out));
    if (input.flag("publish") === false) return out.message("next: fairlead releases publish");
    out.message(
      `next: fairlead rollouts create --model ${model} --version ${version} --slot SLOT --selector SELECTOR --stages 'canary=10%,all=100%'`,
    );
  },
};

export const publishReleases: Command = {
  noun: "releases",
  verb: "publish",
  summary: "Hand signed documents and releases to the plane",
  options: [...trustOptions],
  async run(context, input) {
    const answer = await publishFolder(await context.client(), openWorkplace(context, input).folder);
    if (context.out.isStructured) return context.out.value(answer);
    const versions = Object.entries(answer.roles).map(([role, version]) => `${role} ${version}`);
    context.out.lines([versions.join(" · "), ...answer.releases]);
  },
};

/** What a release binds beside its files, for people. */
function toTerms(release: Release): string[] {
  const { issuedAtMs, notBeforeMs = issuedAtMs, expiresAtMs, audience, content } = release;
  const { profiles, fleets, minAgentVersion, firmware = {} } = audience ?? {};
  const golden = content.selfTest.golden === null ? [] : [content.selfTest.golden];
  const files = [...content.builds.map(({ artifact }) => artifact), ...golden];
  return [
    `devices take it from ${new Date(notBeforeMs).toISOString()} to ${new Date(expiresAtMs).toISOString()}`,
    ...(profiles === undefined ? [] : [`boards: ${profiles.join(", ")}`]),
    ...(fleets === undefined ? [] : [`fleets: ${fleets.join(", ")}`]),
    ...(minAgentVersion === undefined ? [] : [`agent ${minAgentVersion} or newer`]),
    ...Object.entries(firmware).map(([name, version]) => `${name} ${version} or newer`),
    ...files.map(({ digest, sizeBytes }) => `${digest} ${sizeBytes} bytes`),
  ];
}

interface Verifying {
  readonly client: CommandContext["client"];
  readonly trusted: { readonly root: string; readonly nowMs: () => number };
}

/** In a folder, or on the plane. */
async function verifyIn(from: string | undefined, id: string, { client: open, trusted }: Verifying) {
  if (from !== undefined) {
    const folder = new TrustFolder(from);
    const release = folder.releases().find(({ releaseId }) => releaseId === id);
    if (release === undefined) throw new CliError("trust_missing", `${from} holds no release ${id}`);
    return { release, path: await verifyInFolder(folder, release, trusted) };
  }
  const client = await open();
  const release = (await client.models.listReleases()).find(({ signed }) => signed.releaseId === id)?.signed;
  if (release === undefined) throw new CliError("trust_missing", `the plane has no release ${id}`);
  return { release, path: await verifyRelease(client, release, trusted) };
}

export const verifyReleases: Command = {
  noun: "releases",
  verb: "verify",
  summary: "Ask of a release what a device asks, with the device's own code, from a root that you trust",
  arguments: [{ syntax: "<release>", description: "release id" }],
  options: [
    { flags: "--root <file>", description: "root document to begin with; default: the first one in --trust" },
    {
      flags: "--from <folder>",
      description: "a folder that was signed offline, instead of the plane; no server is asked",
    },
    ...trustOptions,
  ],
  async run(context, input) {
    const { folder } = openWorkplace(context, input);
    const file = input.text("root");
    const root = file === undefined ? folder.documents().get("1.root.json") : readFileSync(file, "utf8");
    if (root === undefined)
      throw new CliError("trust_missing", "no root is known here", {
        hint: "give --root FILE, or fairlead trust pull",
      });
    const id = input.args[0] ?? "";
    const trusted = { root, nowMs: context.nowMs };
    const { release, path } = await verifyIn(input.text("from"), id, { client: context.client, trusted });
    if (context.out.isStructured) return context.out.value({ path, release });
    context.out.lines([`${path} is signed by a publisher who may release it`, ...toTerms(release)]);
  },
};

export const listReleases: Command = {
  noun: "releases",
  verb: "list",
  summary: "List releases",
  async run({ client, out }) {
    const releases = await (await client()).models.listReleases();
    out.list(
      releases.map(({ signed }) => signed),
      releaseView(out),
    );
  },
};
