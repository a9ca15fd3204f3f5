import type { SignedRelease } from "@fairlead/protocol";
import type { Command } from "../../command.ts";
import { parseDuration } from "../../parse-duration.ts";
import type { ListView, Output } from "../../output/output.ts";

function releaseView(out: Output): ListView<SignedRelease> {
  return {
    name: (release) => release.signed.releaseId,
    empty: "no releases: fairlead releases sign MODEL VERSION makes one",
    columns: [
      { title: "RELEASE", cell: (release) => release.signed.releaseId },
      { title: "MODEL", cell: (release) => release.signed.content.model },
      { title: "VERSION", cell: (release) => release.signed.content.version },
      { title: "BUILDS", cell: (release) => String(release.signed.content.builds.length) },
      { title: "ISSUED", cell: (release) => out.toAge(release.signed.issuedAtMs) },
      { title: "EXPIRES", cell: (release) => new Date(release.signed.expiresAtMs).toISOString().slice(0, 10) },
      {
        title: "KEYS",
        cell: (release) => release.signatures.map((entry) => entry.keyId.slice(0, 19)).join(","),
        wide: true,
      },
    ],
  };
}

export const signRelease: Command = {
  noun: "releases",
  verb: "sign",
  summary: "State that a model version may be installed",
  arguments: [
    { syntax: "<model>", description: "model name" },
    { syntax: "<version>", description: "semantic version" },
  ],
  options: [{ flags: "--ttl <duration>", description: "how long devices accept it", default: "365d" }],
  async run({ client, out }, input) {
    const [model = "", version = ""] = input.args;
    const release = await (await client()).models.sign({ model, version, ttlMs: parseDuration(input.required("ttl")) });
    out.list([release], releaseView(out));
    out.message(
      `next: fairlead rollouts create --model ${model} --version ${version} --slot SLOT --selector SELECTOR --stages 'canary=10%,all=100%'`,
    );
  },
};

export const listReleases: Command = {
  noun: "releases",
  verb: "list",
  summary: "List signed releases",
  async run({ client, out }) {
    out.list(await (await client()).models.listReleases(), releaseView(out));
  },
};
