import { isBuiltin } from "node:module";
import type { Plugin } from "esbuild";

const namespace = "builtin";

/**
 * Takes modules of Node.js as `process.getBuiltinModule` gives them. An `import` of one makes Node.js read every name
 * that the module exports, and some of these are getters that load a library: `node:http` alone loads a whole HTTP client.
 * One module for each importer: one for all of them would be a file of its own to find and to read.
 */
export const lazyBuiltins: Plugin = {
  name: "lazy-builtins",
  setup: (build) => {
    // Patterns of esbuild are those of Go, without flags.
    build.onResolve({ filter: /^[a-z_/:0-9]+$/ }, ({ path, kind, importer }) =>
      kind === "import-statement" && isBuiltin(path)
        ? { path: `${path} for ${importer}`, namespace, pluginData: path, sideEffects: false }
        : undefined,
    );
    build.onLoad({ filter: /.*/, namespace }, ({ pluginData }) => ({ contents: toModule(String(pluginData)) }));
  },
};

/** Each name is read by a call that is dropped where nobody imports it. */
function toModule(name: string): string {
  const names = Object.keys(process.getBuiltinModule(name) ?? {}).filter((key) => /^[A-Za-z_$][\w$]*$/u.test(key));
  const read = (key: string) => `export const ${key} = /* @__PURE__ */ (() => builtin.${key})();`;
  return [
    `const builtin = /* @__PURE__ */ process.getBuiltinModule(${JSON.stringify(name)});`,
    "export default builtin;",
    ...names.filter((key) => key !== "default").map(read),
  ].join("\n");
}
