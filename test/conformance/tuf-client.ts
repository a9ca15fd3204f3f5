import { createHttpFetch, initializeTrust, openUpdater } from "@fairlead/updater";
import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";

/** A bad repository must fail fast here; the agent waits longer. */
const fetch = createHttpFetch({ answerTimeoutMs: 10_000, stallMs: 5_000 });

function toOptions(args: readonly string[]) {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      "metadata-dir": { type: "string" },
      "metadata-url": { type: "string" },
      "target-name": { type: "string", multiple: true },
      "target-base-url": { type: "string" },
      "target-dir": { type: "string" },
    },
  });
  const required = (name: Exclude<keyof typeof values, "target-name">): string => {
    const value = values[name];
    if (value === undefined) throw new Error(`--${name} is needed`);
    return value;
  };
  return { required, targetNames: values["target-name"] ?? [], positionals };
}

/**
 * The client protocol of theupdateframework/tuf-conformance (CLIENT-CLI.md), spoken by the agent's own updater: `init`,
 * `refresh`, and `download` of every `--target-name` in its order by one updater.
 * @returns the exit code
 */
export async function runTufClient(args: readonly string[]): Promise<number> {
  try {
    const { required, targetNames, positionals } = toOptions(args);
    const folder = required("metadata-dir");
    const [command, initialRoot] = positionals;
    if (command === "init") {
      await initializeTrust(folder, await readFile(initialRoot ?? ""));
      return 0;
    }
    const updater = await openUpdater({
      folder,
      metadataUrl: required("metadata-url"),
      fetch,
      nowMs: () => Date.now(),
    });
    try {
      await updater.refresh();
      if (command === "refresh") return 0;
      if (command !== "download" || targetNames.length === 0) throw new Error("init, refresh or download is needed");
      const place = { baseUrl: required("target-base-url"), folder: required("target-dir") };
      for (const name of targetNames) await updater.download(name, place);
      return 0;
    } finally {
      await updater.close();
    }
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    return 1;
  }
}
