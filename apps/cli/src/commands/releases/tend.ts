import type { Command } from "../../command.ts";
import { toUsageError } from "../../errors.ts";
import { pruneReleases } from "../../trust/change-targets.ts";
import { publishFolder, pullFolder } from "../../trust/exchange.ts";
import { openWorkplace, trustOptions } from "../../trust/workplace.ts";

export const pruneOldReleases: Command = {
  noun: "releases",
  verb: "prune",
  summary: "Leave old releases out of a publisher's document, never one that a rollout or a device uses",
  arguments: [{ syntax: "<publisher>", description: "whose document" }],
  options: [
    { flags: "--keep <n>", description: "how many of the newest stay", default: "500" },
    { flags: "--no-publish", description: "only sign; fairlead releases publish hands it on" },
    ...trustOptions,
  ],
  help: `A document of more than 2,048 releases is refused by devices. What is left out can no longer be installed; devices that run it
keep it. Sign the version anew to install it again.`,
  async run(context, input) {
    const keep = Number(input.required("keep"));
    if (!Number.isInteger(keep) || keep < 1 || keep > 2_000) throw toUsageError("--keep is a number from 1 to 2000");
    const client = await context.client();
    const workplace = openWorkplace(context, input);
    await pullFolder(client, workplace.folder, { nowMs: context.nowMs });
    const inUse = new Set(await client.models.listReleasesInUse());
    const left = await pruneReleases(workplace, input.args[0] ?? "", { keep, inUse });
    if (left.length > 0 && input.flag("publish") !== false) await publishFolder(client, workplace.folder);
    if (context.out.isStructured) return context.out.value({ left, inUse: [...inUse] });
    context.out.lines(left.length === 0 ? ["nothing to leave out"] : left);
  },
};

export const acceptKnownBad: Command = {
  noun: "releases",
  verb: "accept-known-bad",
  summary: "Accept that a version which failed in a rollout is rolled out again, by another person, within a day",
  arguments: [
    { syntax: "<model>", description: "model name" },
    { syntax: "<version>", description: "the version that failed" },
  ],
  options: [{ flags: "--reason <text>", description: "kept in the audit log" }],
  async run({ client, out, confirm }, input) {
    const [model = "", version = ""] = input.args;
    const reason = input.required("reason");
    await confirm(`${model} ${version} failed in a rollout: may it be rolled out again?`);
    const accepted = await (await client()).models.acceptKnownBad(model, version, reason);
    if (out.isStructured) return out.value(accepted);
    out.lines([`${model} ${version} may be rolled out within a day, by somebody else: ${accepted.reason}`]);
  },
};
