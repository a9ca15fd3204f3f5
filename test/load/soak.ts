/** `npm run soak [minutes]`: the random-kill test again and again, each round with a new seed that is printed. */
import { spawnSync } from "node:child_process";

const minutes = Number(process.argv[2] ?? "60");
if (!(minutes > 0 && minutes <= 10_080)) {
  console.error("usage: npm run soak -- MINUTES (1 to 10080)");
  process.exit(2);
}
const endAt = performance.now() + minutes * 60_000;
let rounds = 0;
while (performance.now() < endAt) {
  const seed = String(Math.floor(Math.random() * 2 ** 32));
  rounds += 1;
  console.log(`round ${rounds}, seed ${seed}`);
  const run = spawnSync(
    process.execPath,
    [
      "node_modules/vitest/vitest.mjs",
      "run",
      "--config",
      "test/vitest.config.ts",
      "--project",
      "integration",
      "test/faults/random-kills",
    ],
    { cwd: new URL("../..", import.meta.url), stdio: "inherit", env: { ...process.env, FAIRLEAD_TEST_SEED: seed } },
  );
  if (run.status !== 0) {
    console.error(`round ${rounds} failed; repeat it with FAIRLEAD_TEST_SEED=${seed}`);
    process.exit(1);
  }
}
console.log(`${rounds} rounds passed`);
