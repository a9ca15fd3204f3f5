import { build } from "esbuild";
import { rm } from "node:fs/promises";

/*
 * The agent as a few files without its packages: less to read at start, less to keep in memory. What is native stays
 * outside. Run by `npm run build`.
 */
const from = (path: string) => new URL(path, import.meta.url).pathname;

await rm(from("dist"), { recursive: true, force: true });
await build({
  entryPoints: {
    main: from("src/main.ts"),
    serve: from("src/serve/main.ts"),
    "onnxruntime-worker": from("../../packages/inference/src/onnxruntime-worker.ts"),
  },
  outdir: from("dist"),
  bundle: true,
  splitting: true,
  platform: "node",
  target: "node24",
  format: "esm",
  mainFields: ["module", "main"],
  minify: true,
  keepNames: true,
  legalComments: "linked",
  external: ["onnxruntime-node"],
  // Libraries written for CommonJS ask for `require`, which a module does not have.
  banner: { js: 'import { createRequire as _require } from "node:module"; const require = _require(import.meta.url);' },
  logLevel: "warning",
});
