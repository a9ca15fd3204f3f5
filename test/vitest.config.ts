import { defineConfig } from "vitest/config";
import { compileCache } from "./support/compile-cache.ts";
import { appsVariable } from "./support/entries.ts";
import { LongestFirst } from "./support/longest-first.ts";

/** Beside the code, but with processes, an accelerator or a thread of their own: too slow for `npm run check`. */
const processTests = "{packages,apps}/*/src/**/*.process.test.ts";

const root = new URL("..", import.meta.url).pathname;

/** One configuration for every test; a project that collects nothing is a failure. */
export default defineConfig({
  root,
  test: {
    passWithNoTests: false,
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        root,
        test: {
          name: "unit",
          include: ["packages/*/src/**/*.test.ts", "apps/*/src/**/*.test.ts", "test/architecture/**/*.test.ts"],
          exclude: [processTests],
          // No module keeps state, so files may share a worker: three fifths of the time.
          isolate: false,
          testTimeout: 5_000,
        },
      },
      {
        root,
        test: {
          name: "integration",
          include: ["test/integration/**/*.test.ts", "test/faults/**/*.test.ts", processTests],
          env: { NODE_COMPILE_CACHE: compileCache, [appsVariable]: "built" },
          globalSetup: ["test/support/build-apps.ts", "test/support/warm-cli.ts"],
          testTimeout: 120_000,
          hookTimeout: 180_000,
          // Each file has folders and ports of its own, and mostly waits for its processes.
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        root,
        test: {
          name: "e2e",
          include: ["test/scenarios/**/*.test.ts", "test/e2e/**/*.test.ts"],
          env: { NODE_COMPILE_CACHE: compileCache },
          testTimeout: 240_000,
          hookTimeout: 120_000,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
