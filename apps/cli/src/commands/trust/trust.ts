import { listDelegations, toRootSpec } from "@fairlead/artifacts/tuf";
import { readFileSync } from "node:fs";
import type { Command } from "../../command.ts";
import { createRepository } from "../../trust/change-root.ts";
import { revokePublisher, saveDelegation } from "../../trust/change-targets.ts";
import { publishFolder, pullFolder } from "../../trust/exchange.ts";
import { readPublicKey } from "../../trust/key-file.ts";
import { openWorkplace, toThreshold, trustOptions } from "../../trust/workplace.ts";

export const createTrust: Command = {
  noun: "trust",
  verb: "create",
  summary: "Begin a repository: who may say what devices may install",
  options: [
    {
      flags: "--root-key <name>",
      description:
        "key file of the root (repeatable); without any, keys are made: three for the root of which two must sign, one for targets, one publisher of every model",
      repeatable: true,
    },
    { flags: "--threshold <count>", description: "how many root keys must sign", default: "1" },
    { flags: "--targets-key <name>", description: "key file that appoints publishers (repeatable)", repeatable: true },
    {
      flags: "--online-key <file>",
      description: "public key (PEM) of the plane, when it cannot be asked (repeatable)",
      repeatable: true,
    },
    { flags: "--publish", description: "hand it to the plane at once" },
    ...trustOptions,
  ],
  async run(context, input) {
    const workplace = openWorkplace(context, input);
    const files = input.many("onlineKey");
    const onlineKeys =
      files.length > 0
        ? files.map((file) => readFileSync(file, "utf8"))
        : (await (await context.client()).trust.state()).onlineKeys.slice(-1);
    await createRepository(workplace, {
      rootKeys: input.many("rootKey"),
      threshold: toThreshold(input) ?? 1,
      targetsKeys: input.many("targetsKey"),
      onlineKeys,
    });
    if (input.flag("publish") === true) await publishFolder(await context.client(), workplace.folder);
    context.out.lines([workplace.folder.path]);
    context.out.message("the keys lie beside it: move the root keys to a place that is offline");
  },
};

export const delegateTrust: Command = {
  noun: "trust",
  verb: "delegate",
  summary: "Let a publisher release models of certain names",
  arguments: [{ syntax: "<publisher>", description: "name of a team" }],
  options: [
    { flags: "--key <name>", description: "key file of the publisher (repeatable)", repeatable: true },
    {
      flags: "--models <pattern>",
      description: "model names, * for any part: vision-* (repeatable)",
      repeatable: true,
    },
    { flags: "--threshold <count>", description: "how many of the keys must sign", default: "1" },
    ...trustOptions,
  ],
  async run(context, input) {
    const workplace = openWorkplace(context, input);
    await saveDelegation(workplace, {
      role: input.args[0] ?? "",
      keys: input.many("key").map((name) => readPublicKey(workplace.keys, name)),
      threshold: toThreshold(input) ?? 1,
      models: input.many("models"),
    });
    context.out.message("next: fairlead releases publish");
  },
};

export const revokeTrust: Command = {
  noun: "trust",
  verb: "revoke",
  summary: "End a publisher: nothing that it signed is installed any more; what runs stays",
  arguments: [{ syntax: "<publisher>", description: "name of the team" }],
  options: [...trustOptions],
  async run(context, input) {
    await revokePublisher(openWorkplace(context, input), input.args[0] ?? "");
    context.out.message("next: fairlead releases publish");
  },
};

export const pullTrust: Command = {
  noun: "trust",
  verb: "pull",
  summary: "Bring the documents that others published into the folder, checked as a device would",
  options: [
    { flags: "--replace", description: "instead of documents that were signed here and do not follow those" },
    ...trustOptions,
  ],
  async run(context, input) {
    const { folder } = openWorkplace(context, input);
    const replace = input.flag("replace") === true;
    const count = await pullFolder(await context.client(), folder, { nowMs: context.nowMs, replace });
    context.out.message(`${count} documents brought to ${folder.path}`);
  },
};

export const viewTrust: Command = {
  noun: "trust",
  verb: "view",
  summary: "Who may sign for what, by the documents in the folder",
  options: [...trustOptions],
  run(context, input) {
    const { folder } = openWorkplace(context, input);
    const spec = toRootSpec(folder.read("root", "root").signed);
    const targets = folder.read("targets", "targets").signed;
    const versions = folder.versions();
    const own = (["root", "targets", "snapshot", "timestamp"] as const).map((role) => ({
      role,
      ...spec[role],
      models: "",
    }));
    const publishers = listDelegations(targets).map((entry) => ({ ...entry, models: entry.models.join(" ") }));
    context.out.list([...own, ...publishers], {
      name: (entry) => entry.role,
      empty: "",
      columns: [
        { title: "ROLE", cell: (entry) => entry.role },
        { title: "VERSION", cell: (entry) => String(versions.get(entry.role) ?? "-") },
        { title: "SIGNATURES", cell: (entry) => `${entry.threshold} of ${entry.keys.length}` },
        { title: "MODELS", cell: (entry) => entry.models },
        { title: "KEYS", cell: (entry) => entry.keys.map((key) => key.keyID.slice(0, 12)).join(" ") },
      ],
    });
  },
};
