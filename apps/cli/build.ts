import { bundleApp } from "@fairlead/bundle";

await bundleApp({
  folder: new URL("./", import.meta.url),
  outdir: "dist",
  entries: { main: "src/main.ts" },
  external: [],
});
