import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";

/** What a warm-up run of the runtime names its folders; see `ProfileFolder` in @fairlead/inference. */
const ownName = /^fairlead-profile-/u;

/** Makes the folder for profiles and removes what a process that was killed in a warm-up run left in it. */
export function openProfileFolder(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  for (const name of readdirSync(path)) {
    if (ownName.test(name)) rmSync(join(path, name), { recursive: true, force: true });
  }
}
