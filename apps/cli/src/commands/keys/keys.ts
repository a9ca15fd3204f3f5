import { readFileSync } from "node:fs";
import type { Command } from "../../command.ts";
import { toUsageError } from "../../errors.ts";
import { rotateRoot } from "../../trust/change-root.ts";
import { requirePublisher, saveDelegation } from "../../trust/change-targets.ts";
import { addExternalKey, generateKeyFile, listKeys } from "../../trust/key-file.ts";
import { openWorkplace, trustOptions } from "../../trust/workplace.ts";

export const generateKey: Command = {
  noun: "keys",
  verb: "generate",
  summary: "Make keys on this machine, sealed with a passphrase; no server is asked",
  arguments: [{ syntax: "<names...>", description: "names of the key files" }],
  options: [...trustOptions],
  async run(context, input) {
    const { keys, passphrase } = openWorkplace(context, input);
    for (const name of input.args) {
      const key = await generateKeyFile(keys, name, passphrase());
      context.out.lines([`${name} ${key.keyID}`]);
    }
    context.out.message(`sealed in ${keys}; keep root keys offline, and a copy of each somewhere else`);
  },
};

export const addKey: Command = {
  noun: "keys",
  verb: "add",
  summary: "Name a key that stays in a token, a PKCS#11 module or a signing service",
  arguments: [{ syntax: "<name>", description: "name of the key file" }],
  options: [
    { flags: "--public-key <file>", description: "Ed25519 public key, PEM", required: true },
    {
      flags: "--arg <text>",
      description:
        "program and arguments that read bytes and write the signature, one --arg each; no shell is involved",
      repeatable: true,
    },
    ...trustOptions,
  ],
  run(context, input) {
    const command = input.many("arg");
    if (command.length === 0) throw toUsageError("--arg is needed: the program that signs");
    const publicKey = readFileSync(input.required("publicKey"), "utf8");
    const key = addExternalKey(openWorkplace(context, input).keys, input.args[0] ?? "", { publicKey, command });
    context.out.lines([`${input.args[0]} ${key.keyID}`]);
  },
};

export const listKeyFiles: Command = {
  noun: "keys",
  verb: "list",
  summary: "List the keys in the folder",
  options: [...trustOptions],
  run(context, input) {
    context.out.list(listKeys(openWorkplace(context, input).keys), {
      name: (key) => key.name,
      empty: "no keys: fairlead keys generate NAME makes one",
      columns: [
        { title: "NAME", cell: (key) => key.name },
        { title: "KEY", cell: (key) => key.keyId.slice(0, 16) },
        { title: "KIND", cell: (key) => key.kind },
      ],
    });
  },
};

const rootRoles = ["root", "targets", "snapshot", "timestamp"] as const;

export const rotateKeys: Command = {
  noun: "keys",
  verb: "rotate",
  summary: "Change who may sign for a role, or how many must; then fairlead releases publish",
  arguments: [{ syntax: "<role>", description: "root, targets, online, or a publisher" }],
  options: [
    { flags: "--add <key>", description: "key file whose key is to count (repeatable)", repeatable: true },
    {
      flags: "--remove <key>",
      description: "key file, or key id, that is to count no more (repeatable)",
      repeatable: true,
    },
    { flags: "--threshold <count>", description: "how many must sign" },
    ...trustOptions,
  ],
  async run(context, input) {
    const workplace = openWorkplace(context, input);
    const role = input.args[0] ?? "";
    const threshold = input.text("threshold") === undefined ? null : Number(input.text("threshold"));
    const [add, remove] = [input.many("add"), input.many("remove")];
    const done = () => context.out.message("next: fairlead releases publish");
    const known = rootRoles.find((name) => name === role);
    if (known !== undefined) {
      const version = await rotateRoot(workplace, { role: known, add, addOnline: [], remove, threshold });
      context.out.lines([`root ${version}`]);
      return done();
    }
    if (role === "online") {
      const { publicKey } = await (await context.client()).trust.addOnlineKey();
      const online = workplace.folder.read("root", "root").signed.roles["timestamp"]?.keyIDs ?? [];
      for (const name of ["snapshot", "timestamp"] as const) {
        const version = await rotateRoot(workplace, {
          role: name,
          add: [],
          addOnline: [publicKey],
          remove: online,
          threshold: 1,
        });
        context.out.lines([`root ${version}`]);
      }
      return done();
    }
    const before = requirePublisher(workplace, role);
    const removed = new Set(
      listKeys(workplace.keys)
        .filter(({ name, keyId }) => remove.includes(name) || remove.includes(keyId))
        .map(({ keyId }) => keyId),
    );
    const kept = listKeys(workplace.keys).filter(
      ({ keyId }) => before.keys.some((key) => key.keyID === keyId) && !removed.has(keyId),
    );
    const keyNames = [...kept.map(({ name }) => name), ...add];
    await saveDelegation(workplace, {
      role,
      keyNames,
      threshold: threshold ?? before.threshold,
      models: before.models,
    });
    context.out.lines([`${role} ${keyNames.join(" ")}`]);
    return done();
  },
};
