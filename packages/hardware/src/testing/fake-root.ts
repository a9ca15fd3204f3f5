import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

export interface FakeRoot extends AsyncDisposable {
  readonly path: string;
  /** Writes files below the root; undefined removes one. */
  put(files: Readonly<Record<string, string | undefined>>): Promise<void>;
}

/** A folder that stands for `/`, removed when it is disposed of. */
export async function createFakeRoot(files: Readonly<Record<string, string>> = {}): Promise<FakeRoot> {
  const path = await mkdtemp(join(tmpdir(), "fairlead-root-"));
  const put = async (wanted: Readonly<Record<string, string | undefined>>) => {
    for (const [name, text] of Object.entries(wanted)) {
      const file = join(path, name);
      await mkdir(dirname(file), { recursive: true });
      if (text === undefined) await rm(file, { recursive: true, force: true });
      else await writeFile(file, text);
    }
  };
  await put(files);
  return { path, put, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}
