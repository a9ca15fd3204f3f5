import { copyFile, mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";

async function sync(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A power cut leaves the old file or the whole new one. */
export async function install(temporaryPath: string, path: string): Promise<void> {
  await sync(temporaryPath);
  await rename(temporaryPath, path);
  await sync(dirname(path));
}

async function listMetadata(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => name.endsWith(".json"));
}

/** A fresh copy to work on: what the library writes in place must not be found half-written after a power cut. */
export async function openWorkFolder(folder: string): Promise<string> {
  const work = `${folder}.work`;
  await rm(work, { recursive: true, force: true });
  await mkdir(work, { recursive: true, mode: 0o700 });
  for (const name of await listMetadata(folder)) await copyFile(join(folder, name), join(work, name));
  return work;
}

/** Root first: every other file is verified against it at the next start. */
const rank = (name: string) => ["root.json", "timestamp.json", "snapshot.json"].indexOf(name) >>> 0;

/** Brings what changed in the work folder to its place. */
export async function commitWorkFolder(folder: string): Promise<void> {
  const work = `${folder}.work`;
  const names = (await listMetadata(work)).toSorted((left, right) => rank(left) - rank(right));
  for (const name of names) {
    const bytes = await readFile(join(work, name));
    const before = await readFile(join(folder, name)).catch(() => undefined);
    if (before !== undefined && bytes.equals(before)) continue;
    const temporary = join(folder, `${name}.new`);
    await copyFile(join(work, name), temporary);
    await install(temporary, join(folder, name));
  }
}

export async function closeWorkFolder(folder: string): Promise<void> {
  await rm(`${folder}.work`, { recursive: true, force: true });
}
