/**
 * `node ci-verdict.ts REPORT.json`: prints the closing line and fails when a test was skipped, left out, or when fewer ran
 * than a whole run has, so that a run that collects nothing never looks green.
 */
import { readFileSync } from "node:fs";

const report = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8")) as {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numTodoTests: number;
  testResults: { name: string; assertionResults: { status: string; fullName: string }[] }[];
};
/** Some tests fewer than there are: whole folders must not vanish unseen. Raise it with the number of tests. */
const leastTests = 2_400;
const skipped = report.numPendingTests + report.numTodoTests;

for (const file of report.testResults) {
  for (const test of file.assertionResults) {
    if (test.status !== "passed" && test.status !== "failed") process.stdout.write(`skipped: ${test.fullName}\n`);
  }
}
process.stdout.write(`${report.numPassedTests} passed, ${report.numFailedTests} failed, ${skipped} skipped\n`);
if (report.numFailedTests > 0 || skipped > 0 || report.numPassedTests < leastTests) process.exitCode = 1;
