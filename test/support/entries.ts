export type App = "agent" | "cli" | "plane";

/** What is started of each app, below the repository's root. */
export const entries: Readonly<Record<"source" | "built", Readonly<Record<App, string>>>> = {
  source: {
    agent: "apps/agent/src/main.ts",
    cli: "apps/cli/src/main.ts",
    plane: "apps/control-plane/src/main.ts",
  },
  built: {
    agent: "apps/agent/dist/main.js",
    cli: "apps/cli/dist/main.js",
    plane: "apps/control-plane/dist/app/main.js",
  },
};

/** Set for the integration tests, which start some thousand processes: a bundle starts in a fraction of the time. */
export const appsVariable = "FAIRLEAD_TEST_APPS";

/** Of the bundles where `FAIRLEAD_TEST_APPS` is `built`, else of the source, as the README's commands start it. */
export function toEntry(app: App): string {
  return entries[process.env[appsVariable] === "built" ? "built" : "source"][app];
}
