import { bundleApp } from "@fairlead/bundle";

await bundleApp({
  folder: new URL("./", import.meta.url),
  // One deeper, so that `../migrations` and `../page` lead into `dist`.
  outdir: "dist/app",
  entries: { main: "src/main.ts", "inspection-worker": "src/registry/inspection-worker.ts" },
  copies: [
    ["../../packages/store/migrations", "dist/migrations"],
    ["src/http/page", "dist/page"],
  ],
  external: ["better-sqlite3"],
});
