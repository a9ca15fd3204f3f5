import { execFile } from "node:child_process";
import { copyFileSync, globSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const root = new URL("../../", import.meta.url).pathname;
let dir = "";

/** The members with their names and tags and not one source file: what a guard says of a file, it says of that alone. */
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "fairlead-guards-"));
  const members = globSync(["{apps,packages}/*/{package,turbo}.json"], { cwd: root });
  const kept = ["package.json", "package-lock.json", "turbo.json", "tsconfig.json", ".oxlintrc.json", ".npmrc"];
  for (const path of [...kept, ...members]) {
    mkdirSync(join(dir, dirname(path)), { recursive: true });
    copyFileSync(join(root, path), join(dir, path));
  }
  symlinkSync(join(root, "node_modules"), join(dir, "node_modules"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

interface Verdict {
  readonly code: number;
  readonly text: string;
}

/** What a tool says while one more file is there. */
async function judge(path: string, text: string, command: readonly [string, ...string[]]): Promise<Verdict> {
  const file = join(dir, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  const [tool, ...args] = command;
  try {
    return await new Promise((resolve) => {
      const env = { ...process.env, TURBO_TELEMETRY_DISABLED: "1" };
      execFile(join(root, "node_modules", ".bin", tool), args, { cwd: dir, env }, (error, stdout, stderr) => {
        resolve({ code: typeof error?.code === "number" ? error.code : 0, text: `${stdout}${stderr}` });
      });
    });
  } finally {
    rmSync(file);
  }
}

const lint = (path: string, text: string) => judge(path, text, ["oxlint", "--config", ".oxlintrc.json", path]);
const boundaries = (path: string, text: string) => judge(path, text, ["turbo", "boundaries", "--no-color"]);

describe("the lint refuses", () => {
  it.each([
    ["time", "packages/rollout/src/x.ts", "export const at = () => Date.now();", "Time is an argument"],
    ["chance", "packages/energy/src/x.ts", "export const dice = () => Math.random();", "Chance is an argument"],
    ["a timer", "packages/telemetry/src/x.ts", "export const t = () => setTimeout(() => 1, 1);", "No timers"],
    ["the network", "packages/remediation/src/x.ts", 'export const f = () => fetch("x");', "No network"],
    ["Node's modules", "packages/kernel/src/x.ts", 'import { join } from "node:path";\nexport { join };', "browser"],
    ["Node's modules", "packages/client/src/x.ts", 'import { join } from "node:path";\nexport { join };', "browser"],
    ["a Buffer", "packages/protocol/src/x.ts", "export const b = Buffer.alloc(1);", "browser"],
    ["a Buffer", "packages/client/src/x.ts", "export const b = Buffer.alloc(1);", "browser"],
    ["the environment", "packages/client/src/x.ts", "export const e = process.env;", "browser"],
    [
      "files",
      "packages/artifacts/src/x.ts",
      'import { readFile } from "node:fs";\nexport { readFile };',
      "node:crypto",
    ],
    ["the clock", "packages/integrity/src/x.ts", "export const at = () => Date.now();", "Time is an argument"],
  ])("%s in %s", async (...[, path, text, why]) => {
    const verdict = await lint(path, `${text}\n`);
    expect(verdict).toMatchObject({ code: 1, text: expect.stringContaining(why) });
  });

  it.each([
    ["packages/client/src/x.ts", 'export const f = () => fetch("x");'],
    ["packages/artifacts/src/x.ts", 'import { createHash } from "node:crypto";\nexport { createHash };'],
    ["apps/agent/src/x.ts", "export const at = () => Date.now() + Buffer.alloc(1).length;"],
  ])("and not what %s may do", async (path, text) => {
    expect(await lint(path, `${text}\n`)).toMatchObject({ code: 0 });
  });
});

describe("the boundaries refuse", () => {
  it.each([
    ["a domain package that imports an adapter", "packages/rollout/src/x.ts", "@fairlead/store"],
    ["a domain package that imports another", "packages/rollout/src/x.ts", "@fairlead/remediation"],
    ["the kernel that imports anything", "packages/kernel/src/x.ts", "@fairlead/protocol"],
    ["an application that imports another", "apps/agent/src/x.ts", "@fairlead/control-plane"],
  ])(
    "%s",
    async (_, path, name) => {
      const verdict = await boundaries(path, `import * as other from "${name}";\nexport { other };\n`);
      expect(verdict.code, verdict.text).not.toBe(0);
      expect(verdict.text).toContain(name);
    },
    30_000,
  );

  it("and not an adapter that imports the domain", async () => {
    const text = 'import * as other from "@fairlead/protocol";\nexport { other };\n';
    const verdict = await boundaries("packages/store/src/x.ts", text);
    expect(verdict.code, verdict.text).toBe(0);
  }, 30_000);
});
