import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { lstat, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, isAbsolute, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { RuntimeError } from "../runtime-error.ts";

export interface StoredModel {
  readonly name: string;
  readonly version: number;
  readonly path: string;
  readonly digest: string;
}

/** What we wrote; everything else in the folder is somebody else's and stays. */
const ownName = /^fairlead-[0-9a-f]{16}-[0-9a-f]{8}$/u;
const version = 1;

/**
 * The folder from which the server loads: `<model>/<version>/model.onnx` and `<model>/config.pbtxt`, as Triton lays it
 * out. A model is written beside the folder and appears in it by one rename. It is a copy of bytes that were checked, not
 * a link: a link would name a file that may be another one when the server opens it.
 */
export class ModelRepository {
  readonly folder: string;
  readonly #staging: string;

  constructor(folder: string) {
    if (!isAbsolute(folder)) throw new RuntimeError("runtime_config_invalid", `${folder} is no absolute path`);
    this.folder = folder;
    this.#staging = join(dirname(folder), `.${basename(folder)}.staging`);
  }

  /** Makes the folder and removes what an earlier process left in it. */
  async open(): Promise<void> {
    await mkdir(this.folder, { recursive: true, mode: 0o700 });
    const status = await lstat(this.folder);
    if (!status.isDirectory())
      throw new RuntimeError("runtime_config_invalid", `${this.folder} is no folder (links are refused)`);
    await rm(this.#staging, { recursive: true, force: true });
    await mkdir(this.#staging, { mode: 0o700 });
    for (const name of await readdir(this.folder)) {
      if (ownName.test(name)) await rm(join(this.folder, name), { recursive: true, force: true });
    }
  }

  /** A name that no model has or had: a server may still hold the last one of that name. */
  toNewName(bytes: Uint8Array): { readonly name: string; readonly digest: string } {
    const digest = createHash("sha256").update(bytes).digest("hex");
    return { name: `fairlead-${digest.slice(0, 16)}-${randomBytes(4).toString("hex")}`, digest };
  }

  async put(
    model: { readonly name: string; readonly digest: string },
    bytes: Uint8Array,
    toConfig: (version: number) => string,
  ): Promise<StoredModel> {
    if (!ownName.test(model.name)) throw new RuntimeError("model_load_failed", "no name for a folder");
    const staged = join(this.#staging, model.name);
    try {
      await mkdir(join(staged, String(version)), { recursive: true, mode: 0o700 });
      await writeDurably(join(staged, String(version), "model.onnx"), bytes);
      await writeDurably(join(staged, "config.pbtxt"), Buffer.from(toConfig(version)));
      await rename(staged, join(this.folder, model.name));
    } catch (error) {
      await rm(staged, { recursive: true, force: true }).catch(() => undefined);
      throw new RuntimeError("model_load_failed", "the model cannot be written for the server", error);
    }
    const path = join(this.folder, model.name, String(version), "model.onnx");
    return { ...model, version, path };
  }

  /** Whether the file still is what was written; it is asked before each time that the server reads it again. */
  async holds(model: StoredModel): Promise<boolean> {
    const hash = createHash("sha256");
    try {
      await pipeline(createReadStream(model.path), hash);
    } catch {
      return false;
    }
    return hash.digest("hex") === model.digest;
  }

  async remove(name: string): Promise<void> {
    if (ownName.test(name)) await rm(join(this.folder, name), { recursive: true, force: true });
  }
}

async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  await using file = await open(path, "wx", 0o600);
  await file.writeFile(bytes);
  await file.sync();
}
