import { createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Command, CommandContext, Input } from "../../command.ts";
import { CliError, toUsageError } from "../../errors.ts";
import { rotateRoot } from "../../trust/change-root.ts";
import { rotatePublisher } from "../../trust/change-targets.ts";
import { addExternalKey, generateKeyFile, listKeys } from "../../trust/key-file.ts";
import { openWorkplace, toThreshold, trustOptions, type Workplace } from "../../trust/workplace.ts";

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

/** PEM, whatever form a token gives it in. */
function readPublicKeyFile(path: string): string {
  try {
    const bytes = readFileSync(path);
    if (bytes.includes("-----BEGIN")) return bytes.toString("utf8");
    return createPublicKey({ key: bytes, format: "der", type: "spki" })
      .export({ type: "spki", format: "pem" })
      .toString();
  } catch (error) {
    throw new CliError("file_unreadable", `${path} is no public key`, { cause: error, hint: "give it in PEM or DER" });
  }
}

export const addKey: Command = {
  noun: "keys",
  verb: "add",
  summary: "Name a key that stays in a token, a PKCS#11 module or a signing service",
  arguments: [{ syntax: "<name>", description: "name of the key file" }],
  options: [
    { flags: "--public-key <file>", description: "Ed25519 or ECDSA P-256 public key, PEM or DER", required: true },
    {
      flags: "--arg <text>",
      description:
        "program and arguments that read bytes and write the signature, one --arg each; no shell is involved",
      repeatable: true,
    },
    {
      flags: "--input <what>",
      description: "what the program reads: the bytes, or (P-256) the 32 bytes of their SHA-256",
      choices: ["message", "sha256"],
      default: "message",
    },
    {
      flags: "--env <name>",
      description: "environment variable that the program needs, beside FAIRLEAD_SIGNER_* (repeatable)",
      repeatable: true,
    },
    ...trustOptions,
  ],
  help: `The program gets PATH, HOME, LANG and the like, FAIRLEAD_SIGNER_* and what --env names; never the plane's token or the passphrase.
A PIN is no --arg: write env:FAIRLEAD_SIGNER_PIN where the program reads it from its environment, as pkcs11-tool --pin does.`,
  run(context, input) {
    const command = input.many("arg");
    if (command.length === 0) throw toUsageError("--arg is needed: the program that signs");
    const key = addExternalKey(openWorkplace(context, input).keys, input.args[0] ?? "", {
      publicKey: readPublicKeyFile(input.required("publicKey")),
      command: [...command],
      input: input.text("input") === "sha256" ? "sha256" : "message",
      environment: [...input.many("env")],
    });
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
    {
      flags: "--public-key <file>",
      description: "for online: what fairlead trust online-key --new wrote, where the plane cannot be asked",
    },
    ...trustOptions,
  ],
  async run(context, input) {
    const workplace = openWorkplace(context, input);
    const role = input.args[0] ?? "";
    const change = { add: input.many("add"), remove: input.many("remove"), threshold: toThreshold(input) };
    const known = rootRoles.find((name) => name === role);
    if (known !== undefined) {
      const version = await rotateRoot(workplace, { ...change, role: known, addOnline: [] });
      context.out.lines([`root ${version}`]);
    } else if (role === "online") {
      context.out.lines(await rotateOnline(workplace, await toOnlineKey(context, input)));
    } else {
      const { keys } = await rotatePublisher(workplace, role, change);
      const names = new Map(listKeys(workplace.keys).map(({ name, keyId }) => [keyId, name]));
      context.out.lines([`${role} ${keys.map(({ keyID }) => names.get(keyID) ?? keyID).join(" ")}`]);
    }
    context.out.message("next: fairlead releases publish");
  },
};

/** The public half (PEM) of the key with which the plane is to speak from now on. */
async function toOnlineKey(context: CommandContext, input: Input): Promise<string> {
  const file = input.text("publicKey");
  if (file !== undefined) return readFileSync(file, "utf8");
  return (await (await context.client()).trust.addOnlineKey()).publicKey;
}

async function rotateOnline(workplace: Workplace, publicKey: string): Promise<string[]> {
  const remove = workplace.folder.read("root", "root").signed.roles["timestamp"]?.keyIDs ?? [];
  const lines: string[] = [];
  for (const role of ["snapshot", "timestamp"] as const) {
    const options = { role, add: [], addOnline: [publicKey], remove, threshold: 1 };
    lines.push(`root ${await rotateRoot(workplace, options)}`);
  }
  return lines;
}
