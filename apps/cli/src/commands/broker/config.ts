import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { planeUser, toEmqxConfig, toMosquittoConfig } from "../../broker/broker-config.ts";
import type { Command } from "../../command.ts";
import { toUsageError } from "../../errors.ts";
import { noListForEmqx, parseTenant } from "./revocations.ts";

const writers = { mosquitto: toMosquittoConfig, emqx: toEmqxConfig } as const;

export const brokerConfig: Command = {
  noun: "broker",
  verb: "config",
  summary: "Write TLS and permissions for a broker of your own: mosquitto or emqx",
  arguments: [{ syntax: "<kind>", description: "mosquitto or emqx" }],
  options: [
    { flags: "--out <folder>", description: "where to write", required: true },
    {
      flags: "--authority <file>",
      description: "the plane's authority (ca.pem), on the broker's machine",
      required: true,
    },
    { flags: "--cert <file>", description: "the broker's certificate", required: true },
    { flags: "--key <file>", description: "its key", required: true },
    { flags: "--port <port>", description: "where it listens", default: "8883" },
    { flags: "--tenant <name>", description: "tenant of the plane", default: "default" },
    {
      flags: "--revocations",
      description: "mosquitto: refuse what fairlead broker revocations writes to the same folder",
    },
  ],
  run({ out }, input) {
    const [kind = ""] = input.args;
    const write = kind === "mosquitto" || kind === "emqx" ? writers[kind] : undefined;
    if (write === undefined) throw toUsageError(`"${kind}" is no broker that this knows`, "write mosquitto or emqx");
    const port = Number(input.required("port"));
    if (!Number.isInteger(port) || port < 1 || port > 65_535) throw toUsageError("--port is 1 to 65535");
    const tenant = parseTenant(input.required("tenant"));
    const revocations = input.flag("revocations") === true;
    if (revocations && kind !== "mosquitto") throw toUsageError(noListForEmqx);
    const folder = resolve(input.required("out"));
    const path = (name: "authority" | "cert" | "key"): string => {
      const text = resolve(input.required(name));
      // One line of the file is one setting: a path cannot bring another.
      if (/[\r\n"]/u.test(text)) throw toUsageError(`--${name} holds a line break or a quotation mark`);
      return text;
    };
    const options = {
      ...{ tenant, port, folder, revocations },
      ...{ ca: path("authority"), cert: path("cert"), key: path("key") },
    };
    mkdirSync(folder, { recursive: true });
    for (const [name, text] of Object.entries(write(options))) {
      writeFileSync(join(folder, name), text, { mode: 0o644 });
      out.lines([join(folder, name)]);
    }
    out.message(`the plane's own client certificate must be named ${planeUser}`);
    if (revocations)
      out.message(
        `before the broker starts: fairlead broker revocations mosquitto --out ${folder}, and with --watch beside it`,
      );
  },
};
