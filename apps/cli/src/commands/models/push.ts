import { modelNameSchema, versionSchema } from "@fairlead/protocol";
import type { Command } from "../../command.ts";
import { toUsageError } from "../../errors.ts";
import { inferClassification, parseClassification } from "../../models/classification.ts";
import { parseChoicePolicy } from "../../models/choice-policy.ts";
import { parseTarget } from "../../models/parse-target.ts";
import { pushVersion } from "../../models/push.ts";
import { describeSharedTargets } from "../../models/shared-targets.ts";
import { parseNumber, parseOption } from "../../parse-option.ts";
import { describeVersion } from "./view.ts";

const milliseconds = {
  what: "a number of milliseconds above 0, such as 40",
  fits: (value: number) => value > 0 && value <= 600_000,
};

export const pushModel: Command = {
  noun: "models",
  verb: "push",
  summary: "Upload ONNX files and register them as one version of a model",
  arguments: [{ syntax: "<files...>", description: "ONNX files, one build each" }],
  options: [
    { flags: "--model <name>", description: "model name", required: true },
    { flags: "--version <version>", description: "semantic version", required: true },
    {
      flags: "--target <target>",
      description: "for which devices: arch=x64+arm64,profile=NAME,ep=cpu; the n-th is for the n-th file",
      repeatable: true,
    },
    { flags: "--golden <file>", description: "golden inputs and outputs (JSON) that every device must reproduce" },
    {
      flags: "--classification <output:labels>",
      description: "output with class probabilities and its labels: probs:cat,dog or probs:@labels.txt",
    },
    { flags: "--labels <labels>", description: "labels alone, when only one output fits: cat,dog or @labels.txt" },
    { flags: "--latency-p95-ms <ms>", description: "self-test bound" },
    {
      flags: "--objective <objective>",
      description: "how a device chooses among several builds that it can run, by measuring them",
      choices: ["latency", "energy", "accuracy"],
    },
    {
      flags: "--accuracy-floor <ratio>",
      description: "least share of golden cases (0..1) that a build must reproduce to be chosen",
    },
    { flags: "--description <text>", description: "what this version is", default: "" },
  ],
  async run({ client, out, streams, signal }, input) {
    const model = parseOption(modelNameSchema, "--model", input.required("model"));
    const version = parseOption(versionSchema, "--version", input.required("version"));
    const targets = input.many("target").map(parseTarget);
    if (targets.length > input.args.length) throw toUsageError("there are more --target than files");
    const [classification, labels] = [input.text("classification"), input.text("labels")];
    if (classification !== undefined && labels !== undefined)
      throw toUsageError("--labels and --classification exclude each other");
    const latency = input.text("latencyP95Ms");
    const latencyP95Ms = latency === undefined ? null : parseNumber("--latency-p95-ms", latency, milliseconds);
    const api = await client();
    const result = await pushVersion(
      api,
      {
        model,
        version,
        description: input.required("description"),
        builds: input.args.map((path, index) => ({ path, target: targets[index] ?? parseTarget("") })),
        golden: input.text("golden") ?? null,
        classification:
          classification === undefined
            ? labels === undefined
              ? null
              : await inferClassification(labels, input.args[0] ?? "")
            : parseClassification(classification),
        latencyP95Ms,
        choice: parseChoicePolicy(input.text("objective"), input.text("accuracyFloor")),
      },
      { streams, quiet: out.quiet, signal, say: (text) => out.message(text) },
    );
    out.one(result.detail, { name: () => `${model}/${version}`, describe: describeVersion });
    out.message(result.created ? `${model} ${version} is registered` : `${model} ${version} is unchanged`);
    for (const line of describeSharedTargets(result.detail.content)) out.message(line);
    if (result.detail.release === null) out.message(`next: fairlead releases sign ${model} ${version}`);
  },
};
