import type { SlotChoice } from "@fairlead/protocol";
import { digitModelPath } from "../support/digits.ts";
import { eventually } from "../support/eventually.ts";
import type { Claims } from "./claims.ts";
import type { DemoFleet } from "./fleet.ts";
import { narrator } from "./narrator.ts";

const chooser = "berlin-1";
const slot = "spare";
/** The same reader three times: quantized, in full precision, and quantized badly. */
const builds = [
  "digit-reader-1.1.0-int8.onnx",
  "digit-reader-1.1.0-fp32.onnx",
  "digit-reader-1.2.0-int8-miscalibrated.onnx",
];

/** One version in several builds: the device runs each of them and takes the best that reads right. */
export async function chooseBuild(fleet: DemoFleet, claims: Claims): Promise<void> {
  narrator.chapter(`one version, three builds: ${chooser} measures them and chooses`);
  const version = ["--model", "spare-reader", "--version", "1.0.0"];
  const pushed = await fleet.cli([
    ...["models", "push", ...builds.map((file) => digitModelPath(file)), ...version],
    ...["--golden", digitModelPath("golden-1.1.0.json"), "--objective", "latency"],
    ...["--classification", "probabilities:0,1,2,3,4,5,6,7,8,9"],
  ]);
  if (pushed.code !== 0) throw new Error(`push: ${pushed.stderr}`);
  const signed = await fleet.cli(["releases", "sign", "spare-reader", "1.0.0"]);
  if (signed.code !== 0) throw new Error(`sign: ${signed.stderr}`);
  fleet.enter("choice");
  const rollout = await fleet.rollOut(
    [
      ...[...version, "--slot", slot, "--selector", "site=berlin,role=canary"],
      ...["--stages", "all=100%", "--soak", "0s", "--device-soak", "0s", "--gate", "self-test>=1"],
    ],
    180_000,
  );
  const report = await eventually("the choice is reported", async () => {
    const { reported } = await fleet.plane.device(chooser);
    const found = reported?.slots.find((one) => one.slot === slot);
    return found?.choice?.state === "decided" && found.active !== null ? found : undefined;
  });
  const described = await fleet.cli(["devices", "describe", chooser]);
  const lines = described.stdout.split("\n");
  const from = lines.findIndex((line) => line.startsWith(`choice       ${slot}`));
  process.stdout.write(
    lines
      .slice(from, from + 1 + builds.length)
      .map((line) => `    ${line}\n`)
      .join(""),
  );
  claims.check(
    `${chooser} measured three builds of one version, took one that reads right, and names the losers`,
    rollout.state === "succeeded" && isProved(report.choice ?? null, report.active?.buildDigest),
  );
}

function isProved(choice: SlotChoice | null, running: string | undefined): boolean {
  if (choice === null || choice.chosen === null || choice.chosen !== running) return false;
  const verdicts = choice.candidates.map(({ verdict }) => verdict).toSorted();
  const of = (verdict: string) => choice.candidates.find((one) => one.verdict === verdict);
  const [chosen, lost, excluded] = [of("chosen"), of("lost"), of("excluded")];
  return (
    (chosen?.latencyUs?.p50 ?? 1) <= (lost?.latencyUs?.p50 ?? 0) &&
    (excluded?.accuracyRatio ?? 1) < (choice.policy.accuracyFloor ?? 0) &&
    JSON.stringify(verdicts) === JSON.stringify(["chosen", "excluded", "lost"]) &&
    choice.candidates.every(
      ({ latencyUs, runs, joulesPerInference, energyMethod }) =>
        latencyUs !== null && runs > 0 && joulesPerInference.value !== null && energyMethod !== null,
    )
  );
}
