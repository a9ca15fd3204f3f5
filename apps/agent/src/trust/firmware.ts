import type { Birth } from "@fairlead/protocol";
import { readFile } from "node:fs/promises";
import { release } from "node:os";

const biosVersionPath = "/sys/class/dmi/id/bios_version";
/** Written by NVIDIA's Linux for Tegra: `# R36 (release), REVISION: 4.3, …`. */
const tegraReleasePath = "/etc/nv_tegra_release";

const readText = (path: string) => readFile(path, "utf8").catch(() => "");

/** `R36 (release), REVISION: 4.3` → `36.4.3`; undefined for anything else. */
export function parseTegraRelease(text: string): string | undefined {
  const match = /R(\d{1,4}) \(release\), REVISION: (\d{1,4}(?:\.\d{1,4})?)/u.exec(text);
  return match === null ? undefined : `${match[1]}.${match[2]}`;
}

/**
 * Versions of what lies below the agent, by name: those of the enrolment's inventory, and over them what the machine says
 * at this start, since a kernel is updated more often than a device is enrolled.
 */
export async function readFirmware(inventory: Birth["inventory"]): Promise<Readonly<Record<string, string>>> {
  const known = Object.entries(inventory).flatMap(([name, value]) =>
    typeof value === "string" ? [[name, value] as const] : [],
  );
  const bios = (await readText(biosVersionPath)).trim().slice(0, 64);
  const tegra = parseTegraRelease((await readText(tegraReleasePath)).slice(0, 256));
  return {
    ...Object.fromEntries(known),
    "os.kernel": release(),
    ...(bios === "" ? {} : { "firmware.version": bios }),
    ...(tegra === undefined ? {} : { "l4t.version": tegra }),
  };
}
