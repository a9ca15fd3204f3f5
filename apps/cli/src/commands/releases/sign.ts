import { toReleaseTargetPath } from "@fairlead/artifacts/tuf";
import { audienceSchema, type Release } from "@fairlead/protocol";
import { readFileSync } from "node:fs";
import type { Command } from "../../command.ts";
import { CliError, toUsageError } from "../../errors.ts";
import { parseDuration } from "../../parse-duration.ts";
import type { ListView, Output } from "../../output/output.ts";
import { publishFolder, verifyRelease } from "../../trust/exchange.ts";
import { signRelease as sign } from "../../trust/sign-release.ts";
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
    { flags: "--ttl <duration>", description: "how long devices accept it", default: "365d" },
    {
      flags: "--for-profile <name>",
      description: "kind of board (repeatable); default: what its builds run on",
      repeatable: true,
    },
    { flags: "--for-fleet <name>", description: "fleet, as devices are configured (repeatable)", repeatable: true },
    { flags: "--min-agent <version>", description: "the oldest agent that may run it" },
    { flags: "--tenant <name>", description: "tenant of the plane", default: "default" },
    { flags: "--no-publish", description: "only sign; fairlead releases publish hands it on" },
    ...trustOptions,
  ],
  async run(context, input) {
    const { client, out } = context;
    const [model = "", version = ""] = input.args;
    const [profiles, fleets, minAgentVersion] = [
      input.many("forProfile"),
      input.many("forFleet"),
      input.text("minAgent"),
    ];
    const audience = audienceSchema.safeParse({
      ...(profiles.length === 0 ? {} : { profiles }),
      ...(fleets.length === 0 ? {} : { fleets }),
      ...(minAgentVersion === undefined ? {} : { minAgentVersion }),
    });
    if (!audience.success) throw toUsageError(audience.error.issues.map((issue) => issue.message).join("; "));
    const release = await sign(await client(), openWorkplace(context, input), {
      ...{ model, version },
      publisher: input.required("as"),
      ttlMs: parseDuration(input.required("ttl")),
      audience: Object.keys(audience.data).length === 0 ? null : audience.data,
      tenant: input.required("tenant"),
      publish: input.flag("publish") !== false,
    });
    out.list([release], releaseView(out));
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

export const verifyReleases: Command = {
  noun: "releases",
  verb: "verify",
  summary: "Ask of a release what a device asks, with the device's own code, from a root that you trust",
  arguments: [{ syntax: "<release>", description: "release id" }],
  options: [
    { flags: "--root <file>", description: "root document to begin with; default: the folder's first" },
    ...trustOptions,
  ],
  async run(context, input) {
    const client = await context.client();
    const { folder } = openWorkplace(context, input);
    const file = input.text("root");
    const root = file === undefined ? folder.documents().get("1.root.json") : readFileSync(file, "utf8");
    if (root === undefined)
      throw new CliError("trust_missing", "no root is known here", {
        hint: "give --root FILE, or fairlead trust pull",
      });
    const id = input.args[0] ?? "";
    const found = (await client.models.listReleases()).find(({ signed }) => signed.releaseId === id);
    if (found === undefined) throw new CliError("trust_missing", `the plane has no release ${id}`);
    const path = await verifyRelease(client, found.signed, { root, nowMs: context.nowMs });
    context.out.lines([`${path} is signed by a publisher who may release it`]);
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
