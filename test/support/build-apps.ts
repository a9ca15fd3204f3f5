import { execFileSync } from "node:child_process";

/** Once before the integration tests: they run what is distributed. Does nothing when nothing has changed. */
export function setup(): void {
  const cwd = new URL("../..", import.meta.url);
  const turbo = new URL("node_modules/.bin/turbo", cwd).pathname;
  execFileSync(turbo, ["run", "build", "--output-logs=errors-only"], { cwd, stdio: ["ignore", "ignore", "inherit"] });
}
