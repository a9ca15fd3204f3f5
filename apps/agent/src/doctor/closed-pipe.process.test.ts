import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, it } from "vitest";

const root = mkdtempSync(join(tmpdir(), "doctor-"));
afterAll(() => rmSync(root, { recursive: true }));
const main = fileURLToPath(new URL("../main.ts", import.meta.url));

it("ends in silence when its reader has read enough, as with `doctor | head -1`", async () => {
  const child = spawn(process.execPath, [main, "doctor", "--data", root], { stdio: ["ignore", "pipe", "pipe"] });
  let read = "";
  let errors = "";
  child.stderr.on("data", (bytes: Buffer) => (errors += bytes.toString()));
  child.stdout.once("data", (bytes: Buffer) => {
    read = bytes.toString();
    child.stdout.destroy();
  });
  const code = await new Promise((resolve) => child.once("close", resolve));
  expect({ code, errors }).toEqual({ code: 0, errors: "" });
  expect(read).toMatch(/^ok {4}configuration: good\n/u);
}, 60_000);
