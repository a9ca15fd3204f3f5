import { toErrorMessage } from "@fairlead/kernel";
import { tenantSchema } from "@fairlead/protocol";
import { mkdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { toMosquittoRevocations, type ConfigFiles } from "../../broker/broker-config.ts";
import { reloadMosquitto } from "../../broker/reload-mosquitto.ts";
import type { Command } from "../../command.ts";
import { toUsageError } from "../../errors.ts";
import { replaceFile } from "../../replace-file.ts";

const lookEveryMs = 5_000;

export const noListForEmqx =
  "only mosquitto reads revocations from a file; EMQX fetches lists from addresses in certificates, which these have not";

export function parseTenant(text: string): string {
  const tenant = tenantSchema.safeParse(text);
  if (!tenant.success) throw toUsageError("--tenant is not a tenant's name");
  return tenant.data;
}

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

/** Whole or not at all, since the broker may read at any time. @returns paths of files that say something else now */
function writeChanged(folder: string, files: ConfigFiles): string[] {
  mkdirSync(folder, { recursive: true });
  const changed = Object.entries(files).filter(([name, text]) => readIfThere(join(folder, name)) !== text);
  for (const [name, text] of changed) replaceFile(join(folder, name), text);
  return changed.map(([name]) => join(folder, name));
}

export const brokerRevocations: Command = {
  noun: "broker",
  verb: "revocations",
  summary: "Bring a broker of your own what it has to refuse: ended certificates, devices that were let go",
  arguments: [{ syntax: "<kind>", description: "mosquitto" }],
  options: [
    { flags: "--out <folder>", description: "where fairlead broker config wrote", required: true },
    { flags: "--tenant <name>", description: "tenant of the plane", default: "default" },
    { flags: "--pid-file <file>", description: "of the broker, which is told when something changed" },
    { flags: "--watch", description: `look every ${lookEveryMs / 1_000} s, until interrupted or --timeout` },
  ],
  async run({ client, out, signal, timeoutMs }, input) {
    if (input.args[0] !== "mosquitto") throw toUsageError(noListForEmqx);
    const tenant = parseTenant(input.required("tenant"));
    const folder = resolve(input.required("out"));
    const pidFile = input.text("pidFile");
    const api = await client();
    /** Who wrote before this may have ended before it told the broker. */
    let told = false;
    let known: { readonly etag: string | undefined; readonly files: ConfigFiles } | undefined;
    const look = async (): Promise<void> => {
      const read = await api.enrolments.readRevocations(known?.etag);
      if (read !== null) known = { etag: read.etag, files: toMosquittoRevocations(tenant, read.value) };
      // Also what somebody else wrote over: fairlead broker config knows of no revocation.
      const changed = writeChanged(folder, known?.files ?? {});
      out.lines(changed);
      told &&= changed.length === 0;
      if (told || pidFile === undefined) return;
      reloadMosquitto(pidFile, {
        readFile: (path) => readFileSync(path, "utf8"),
        kill: (pid, hangUp) => process.kill(pid, hangUp),
      });
      told = true;
    };
    if (input.flag("watch") !== true) return await look();
    const limit = timeoutMs === null ? signal : AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    let said = "";
    while (!limit.aborted) {
      // A plane or a broker that is away comes back; until then the broker has what it was brought last.
      const trouble = await look().then(() => "", toErrorMessage);
      if (trouble !== said && !limit.aborted) out.error(trouble === "" ? "the broker is up to date again" : trouble);
      said = trouble;
      await delay(lookEveryMs, undefined, { signal: limit }).catch(() => undefined);
    }
  },
};
