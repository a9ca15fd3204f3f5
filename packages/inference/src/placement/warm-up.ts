import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { toProviderShares } from "./provider-shares.ts";

/** A profile has some 300 bytes per node; more than this is not read. */
const maxProfileBytes = 64 * 1_048_576;
/** Elements of one input; a model that needs more is not warmed up with made-up data. */
const maxElements = 16 * 1_048_576;

/** A folder for the profiles of one session, which nobody else reads; gone when disposed. */
export class ProfileFolder implements Disposable {
  readonly #dir: string;

  /** @param parent an existing folder, emptied by its owner after a process was killed; null for the system's own */
  constructor(parent: string | null) {
    this.#dir = mkdtempSync(join(parent ?? tmpdir(), "fairlead-profile-"));
  }

  get prefix(): string {
    return join(this.#dir, "run");
  }

  /** Every event of every profile in the folder. */
  read(): unknown[] {
    return readdirSync(this.#dir).flatMap((name) => {
      const path = join(this.#dir, name);
      if (statSync(path).size > maxProfileBytes) throw new Error("the profile is too large to read");
      const events: unknown = JSON.parse(readFileSync(path, "utf8"));
      return Array.isArray(events) ? (events as unknown[]) : [];
    });
  }

  [Symbol.dispose](): void {
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

function toZeros(metadata: InferenceSession.ValueMetadata): OrtTensor {
  if (!metadata.isTensor) throw new Error(`'${metadata.name}' cannot be made up`);
  const dims = metadata.shape.map((size) => (typeof size === "number" && size > 0 ? size : 1));
  const count = dims.reduce((product, size) => product * size, 1);
  if (!(count <= maxElements)) throw new Error(`'${metadata.name}' is too large to be made up`);
  const { type } = metadata;
  if (type === "string")
    return new OrtTensor(
      "string",
      Array.from({ length: count }, () => ""),
      dims,
    );
  const big = type === "int64" || type === "uint64";
  if (type === "float16") {
    const tensor = new OrtTensor("float16", new Uint16Array(count) as never, dims);
    // As for real inputs: the native part reads a Float16Array as empty.
    Object.defineProperty(tensor, "data", { value: new Uint16Array(count) });
    return tensor;
  }
  const zeros = Array.from({ length: count }, () => (big ? 0n : type === "bool" ? false : 0));
  return new OrtTensor(type as "float32", zeros as number[], dims);
}

/** One run on zeros, free dimensions set to 1. @throws Error when the model does not bear that */
export async function runOnZeros(session: InferenceSession, options: InferenceSession.RunOptions = {}): Promise<void> {
  const feeds: Record<string, OrtTensor> = {};
  for (const metadata of session.inputMetadata) feeds[metadata.name] = toZeros(metadata);
  await session.run(feeds, options);
}

/**
 * Runs a profiled session once on zeros and tells the share of node time per provider.
 * A list of wanted providers proves nothing: the runtime drops what it cannot use and says so at most in its log.
 * @throws Error when the model cannot be run on zeros or its profile cannot be read. The session is then of no more use
 * than to be released: to end the profiling of a run that broke off on its device aborts the process (1.30.0, WebGPU).
 */
export async function measureShares(
  session: InferenceSession,
  profiles: ProfileFolder,
): Promise<Readonly<Record<string, number>> | null> {
  await runOnZeros(session);
  // The session goes on to serve: it must not go on to collect.
  session.endProfiling();
  return toProviderShares(profiles.read());
}
