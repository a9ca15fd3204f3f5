import { CodedError } from "@fairlead/kernel";
import type { Birth } from "@fairlead/protocol";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as z from "zod";

/*
 * Where the agent's own parts lie. Source (`src/*.ts`) and bundle (`dist/*.js`) are equally deep below the repository,
 * so one relative path serves both.
 */
const bundled = !import.meta.url.endsWith(".ts");

export const servingEntry = new URL(bundled ? "./serve.js" : "./serve/main.ts", import.meta.url);
export const ownFolder = fileURLToPath(new URL(".", import.meta.url));
export const profilesFolder = fileURLToPath(new URL("../../../firmware-configs", import.meta.url));

export function readAgentVersion(): string {
  const text = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return z.object({ version: z.string().max(64) }).parse(JSON.parse(text)).version;
}

export function toArch(): Birth["arch"] {
  if (process.arch === "x64" || process.arch === "arm64") return process.arch;
  throw new CodedError("arch_unsupported", `${process.arch} is not supported`, { hint: "use an x64 or arm64 device" });
}
