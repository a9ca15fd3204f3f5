import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { CommandContext, Input, OptionSpec } from "../command.ts";
import { toConfigPath } from "../context/config-file.ts";
import { CliError, toUsageError } from "../errors.ts";
import type { Environment } from "./external-signer.ts";
import { listKeys, openSigner, type NamedSigner } from "./key-file.ts";
import { TrustFolder } from "./trust-folder.ts";

export const trustOptions: readonly OptionSpec[] = [
  { flags: "--trust <folder>", description: "the repository's folder (FAIRLEAD_TRUST)" },
  {
    flags: "--keys <folder>",
    description: "where the keys lie (FAIRLEAD_KEYS), for instance a stick; default: keys beside it",
  },
  { flags: "--passphrase-file <file>", description: "opens the keys (or FAIRLEAD_KEY_PASSPHRASE)" },
];

/** Where a publisher works: the repository, the keys, and what opens them. */
export interface Workplace {
  readonly folder: TrustFolder;
  readonly keys: string;
  readonly passphrase: () => string;
  readonly env: Environment;
  readonly nowMs: number;
}

export function openWorkplace({ env, nowMs }: Pick<CommandContext, "env" | "nowMs">, input: Input): Workplace {
  const path = input.text("trust") ?? env["FAIRLEAD_TRUST"] ?? join(dirname(toConfigPath(env)), "trust");
  const passphrase = (): string => {
    const file = input.text("passphraseFile");
    const text =
      file === undefined ? env["FAIRLEAD_KEY_PASSPHRASE"] : readFileSync(file, "utf8").replace(/\r?\n$/u, "");
    if (text !== undefined && text.length >= 12) return text;
    throw new CliError("passphrase_missing", "the keys need a passphrase of at least 12 characters", {
      hint: "set FAIRLEAD_KEY_PASSPHRASE or give --passphrase-file FILE",
    });
  };
  const keys = input.text("keys") ?? env["FAIRLEAD_KEYS"] ?? join(path, "keys");
  return { folder: new TrustFolder(path), keys, passphrase, env, nowMs: nowMs() };
}

/** How many keys must sign, where it is given; whether there are as many is judged with the keys. */
export function toThreshold(input: Input): number | null {
  const text = input.text("threshold");
  if (text === undefined) return null;
  if (/^[1-9]\d?$/u.test(text)) return Number(text);
  throw toUsageError(`--threshold is a number from 1 to 99, not "${text}"`);
}

/** Signers for a role: those of its keys that are here, and no more than it takes. */
export async function openSigners(
  { keys, passphrase, env }: Workplace,
  role: { readonly name: string; readonly keyIds: readonly string[]; readonly threshold: number },
): Promise<NamedSigner[]> {
  const here = listKeys(keys).filter(({ keyId }) => role.keyIds.includes(keyId));
  if (here.length < role.threshold)
    throw new CliError(
      "key_unusable",
      `${role.name} needs ${role.threshold} signatures; ${here.length} of its keys are in ${keys}`,
      {
        hint: "bring the keys there, or name their folder with --keys",
      },
    );
  return await Promise.all(
    here.slice(0, role.threshold).map(({ name }) => openSigner(keys, name, { passphrase, env })),
  );
}
