import { bundleApp } from "@fairlead/bundle";

await bundleApp({
  folder: new URL("./", import.meta.url),
  outdir: "dist",
  entries: {
    main: "src/main.ts",
    serve: "src/serve/main.ts",
    "onnxruntime-worker": "../../packages/inference/src/onnxruntime-worker.ts",
  },
  external: ["onnxruntime-node"],
});
