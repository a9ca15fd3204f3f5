import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bundleApp } from "./bundle-app.ts";

const source = `
  import http, { createServer } from "node:http";
  import * as path from "path";
  import { readFileSync, constants } from "node:fs";
  import { readFile } from "node:fs/promises";
  const { hostname } = await import("node:os");
  const wasLoaded = process.moduleLoadList.some((name) => name.includes("undici"));
  console.log(JSON.stringify({
    wasLoaded,
    same: http.createServer === createServer && createServer === process.getBuiltinModule("node:http").createServer,
    path: path.join("a", "b"),
    kinds: [typeof readFileSync, typeof readFile, typeof constants.O_RDONLY, typeof hostname()],
    required: typeof require("node:zlib").gzipSync,
  }));
`;

describe("a bundle", () => {
  const folder = mkdtempSync(join(tmpdir(), "fairlead-bundle-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  beforeAll(async () => {
    writeFileSync(join(folder, "main.mjs"), source);
    const at = pathToFileURL(`${folder}/`);
    await bundleApp({ folder: at, outdir: "dist", entries: { main: "main.mjs" }, external: [] });
    writeFileSync(join(folder, "dist", "package.json"), '{"type":"module"}');
  });
  const run = (file: string): unknown => JSON.parse(execFileSync(process.execPath, [join(folder, file)]).toString());

  it("loads of Node.js's own modules only what it uses, and gets the same of them as an import does", () => {
    const expected = { same: true, path: "a/b", kinds: ["function", "function", "number", "string"] };
    expect(run("dist/main.js")).toEqual({ ...expected, wasLoaded: false, required: "function" });
  });

  it("is needed for that: the import itself loads an HTTP client that nobody asked for", () => {
    writeFileSync(join(folder, "plain.mjs"), source.replace('typeof require("node:zlib").gzipSync', "null"));
    expect(run("plain.mjs")).toMatchObject({ wasLoaded: true, same: true });
  });
});
