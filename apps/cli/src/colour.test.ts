import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { run } from "./run.ts";

let dir = "";
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "fairlead-colour-"));
  writeFileSync(
    join(dir, "config.yaml"),
    "current: lab\ncontexts: { lab: { server: 'https://localhost:1', token: x } }\n",
    { mode: 0o600 },
  );
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** What a command that needs no server writes on standard output. */
async function listContexts(isTTY: boolean, env: Readonly<Record<string, string>>): Promise<string> {
  let text = "";
  const code = await run({
    args: ["contexts", "list"],
    env: { FAIRLEAD_CONFIG: join(dir, "config.yaml"), ...env },
    streams: { out: { write: (part) => (text += part), isTTY }, err: { write: () => undefined, isTTY } },
    stdin: Readable.from([]),
    signal: new AbortController().signal,
    nowMs: () => 0,
    version: "1.2.3",
  });
  expect(code).toBe(0);
  expect(text).toContain("https://localhost:1");
  return text;
}

describe("colours", () => {
  it("are for a terminal", async () => {
    expect(await listContexts(true, {})).toContain("\u001b[1m");
    expect(await listContexts(false, {})).not.toContain("\u001b");
  });

  it("are left out where NO_COLOR is set, whatever else asks for them, and where the terminal is dumb", async () => {
    expect(await listContexts(true, { NO_COLOR: "1" })).not.toContain("\u001b");
    expect(await listContexts(true, { NO_COLOR: "1", FORCE_COLOR: "1" })).not.toContain("\u001b");
    expect(await listContexts(true, { TERM: "dumb" })).not.toContain("\u001b");
  });

  it("are forced into a file with FORCE_COLOR, and an empty NO_COLOR says nothing", async () => {
    expect(await listContexts(false, { FORCE_COLOR: "1" })).toContain("\u001b[1m");
    expect(await listContexts(true, { NO_COLOR: "" })).toContain("\u001b[1m");
  });
});
