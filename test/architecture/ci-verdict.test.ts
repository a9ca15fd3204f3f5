import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";

const dir = mkdtempSync(join(tmpdir(), "verdict-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** The closing line and the exit code for a report of so many tests. */
async function judge(report: object): Promise<{ readonly code: number; readonly text: string }> {
  const file = join(dir, "report.json");
  writeFileSync(file, JSON.stringify(report));
  const script = new URL("ci-verdict.ts", import.meta.url).pathname;
  return await new Promise((resolve) => {
    execFile(process.execPath, [script, file], (error, stdout) => {
      resolve({ code: typeof error?.code === "number" ? error.code : 0, text: stdout.trimEnd() });
    });
  });
}
const counts = { numPassedTests: 2_700, numFailedTests: 0, numPendingTests: 0, numTodoTests: 0, testResults: [] };

describe("the verdict over a whole run", () => {
  it("is good where enough tests ran and each of them passed", async () => {
    expect(await judge(counts)).toEqual({ code: 0, text: "2700 passed, 0 failed, 0 skipped" });
  });

  it("is bad where one failed", async () => {
    expect(await judge({ ...counts, numFailedTests: 1 })).toEqual({
      code: 1,
      text: "2700 passed, 1 failed, 0 skipped",
    });
  });

  it.each(["numPendingTests", "numTodoTests"])("is bad where one was left out (%s), and names it", async (count) => {
    const assertionResults = [
      { status: "passed", fullName: "that ran" },
      { status: "skipped", fullName: "a TPM that is not there" },
    ];
    const testResults = [{ name: "a.test.ts", assertionResults }];
    expect(await judge({ ...counts, [count]: 1, testResults })).toEqual({
      code: 1,
      text: "skipped: a TPM that is not there\n2700 passed, 0 failed, 1 skipped",
    });
  });

  it("is bad where a part of the tests has vanished, though all that ran passed", async () => {
    expect(await judge({ ...counts, numPassedTests: 1_200 })).toMatchObject({ code: 1 });
    expect(await judge({ ...counts, numPassedTests: 0 })).toMatchObject({ code: 1 });
  });

  it("is bad where the report cannot be read or counts nothing", async () => {
    expect(await judge({})).toMatchObject({ code: 1 });
  });
});
