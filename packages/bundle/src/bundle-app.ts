import { cp, rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { lazyBuiltins } from "./lazy-builtins.ts";

export interface AppBundle {
  /** The app's folder, with a slash at its end. */
  readonly folder: URL;
  /** Below `dist` of `folder`, which is deleted first. */
  readonly outdir: string;
  /** Name of each file that is started, and its source, relative to `folder`. */
  readonly entries: Readonly<Record<string, string>>;
  /** Files and folders that the code reads at run time: from where and to where, relative to `folder`. */
  readonly copies?: readonly (readonly [from: string, to: string])[];
  /** Packages that stay outside, because they are native. */
  readonly external: readonly string[];
}

/**
 * An app as a few files without its packages: less to find and to strip of types at its start, less to keep in memory.
 * Bundled by esbuild, which is here for the tests' runner anyway.
 */
export async function bundleApp({ folder, outdir, entries, copies = [], external }: AppBundle): Promise<void> {
  const at = (path: string) => fileURLToPath(new URL(path, folder));
  await rm(at("dist"), { recursive: true, force: true });
  await build({
    entryPoints: Object.fromEntries(Object.entries(entries).map(([name, source]) => [name, at(source)])),
    outdir: at(outdir),
    bundle: true,
    splitting: true,
    platform: "node",
    target: "node24",
    format: "esm",
    mainFields: ["module", "main"],
    minify: true,
    keepNames: true,
    legalComments: "linked",
    external: [...external],
    plugins: [lazyBuiltins],
    // Libraries written for CommonJS ask for `require`, which a module does not have.
    banner: {
      js: 'const require = process.getBuiltinModule("node:module").createRequire(import.meta.url);',
    },
    logLevel: "warning",
  });
  for (const [from, to] of copies) await cp(at(from), at(to), { recursive: true });
}
