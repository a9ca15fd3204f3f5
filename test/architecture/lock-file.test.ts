import { readFileSync } from "node:fs";
import { expect, it } from "vitest";

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
const lock = JSON.parse(read("package-lock.json")) as {
  packages: Record<string, { version?: string; resolved?: string }>;
};

/** Versions below these have published holes that concern us; `npm audit` is not reachable everywhere. */
const floors: Record<string, string> = {
  aedes: "1.2.0",
  hono: "4.12.12",
  "@hono/node-server": "2.0.0",
  "drizzle-orm": "0.45.2",
  "onnxruntime-node": "1.29.0",
  "tuf-js": "6.0.2",
};

const parts = (version: string) => version.split(".").map(Number);
function isAtLeast(version: string, floor: string): boolean {
  const [have, want] = [parts(version), parts(floor)];
  const index = have.findIndex((part, position) => part !== want[position]);
  return index === -1 || (have[index] ?? 0) > (want[index] ?? 0);
}

it.each(Object.entries(floors))("locks %s at %s or newer", (name, floor) => {
  const versions = Object.entries(lock.packages)
    .filter(([path]) => path.endsWith(`node_modules/${name}`))
    .map(([, entry]) => entry.version ?? "0.0.0");
  expect(versions.length).toBeGreaterThan(0);
  for (const version of versions) expect(isAtLeast(version, floor), `${name} ${version}`).toBe(true);
});

it("names no registry host in the lock file", () => {
  const resolved = Object.values(lock.packages).flatMap((entry) =>
    entry.resolved === undefined ? [] : [entry.resolved],
  );
  expect(resolved.filter((url) => url.includes("://"))).toEqual([]);
});

/** Where each member stands: a wrong tag would let it import what it may not. */
const floorOf: Record<string, string> = {
  "packages/kernel": "kernel",
  "packages/protocol": "wire",
  ...Object.fromEntries(
    ["artifacts", "energy", "integrity", "remediation", "rollout", "telemetry"].map((name) => [
      `packages/${name}`,
      "domain",
    ]),
  ),
  ...Object.fromEntries(
    ["bundle", "bus", "client", "egress", "hardware", "inference", "store", "updater"].map((name) => [
      `packages/${name}`,
      "adapter",
    ]),
  ),
  ...Object.fromEntries(["agent", "cli", "control-plane", "dashboard"].map((name) => [`apps/${name}`, "app"])),
};

it("gives every workspace member its one floor", () => {
  const members = Object.keys(lock.packages).filter((path) => /^(?:apps|packages)\/[^/]+$/u.test(path));
  const tags = members.map((member) => [member, (JSON.parse(read(`${member}/turbo.json`)) as { tags: string[] }).tags]);
  expect(Object.fromEntries(tags)).toEqual(
    Object.fromEntries(Object.entries(floorOf).map(([member, floor]) => [member, [floor]])),
  );
});
