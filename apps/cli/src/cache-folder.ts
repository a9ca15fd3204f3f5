import { homedir } from "node:os";
import { join } from "node:path";

/** Of this user alone: whoever could write there could change what the command line does. XDG Base Directory Specification. */
export function toCacheFolder(env: Readonly<Record<string, string | undefined>>): string {
  return join(env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "fairlead");
}
