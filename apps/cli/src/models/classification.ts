import { readFileSync } from "node:fs";
import { inspectOnnxFile } from "@fairlead/inference/inspect";
import { classificationSchema, type Classification } from "@fairlead/protocol";
import { CliError, toUsageError } from "../errors.ts";

function toLabels(text: string): string[] {
  if (!text.startsWith("@")) return text.split(",").map((label) => label.trim());
  try {
    return readFileSync(text.slice(1), "utf8")
      .split(/\r?\n/u)
      .filter((line) => line.trim() !== "");
  } catch (error) {
    throw new CliError("file_unreadable", `cannot read the labels in ${text.slice(1)}`, { cause: error });
  }
}

function parse(output: string, labels: readonly string[]): Classification {
  const parsed = classificationSchema.safeParse({ output, labels });
  if (parsed.success) return parsed.data;
  throw toUsageError(
    `classification: ${parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; ")}`,
  );
}

/** `OUTPUT:a,b,c` or `OUTPUT:@labels.txt`. */
export function parseClassification(text: string): Classification {
  const at = text.indexOf(":");
  if (at < 1)
    throw toUsageError(`--classification "${text}" has no labels`, "write OUTPUT:label,label,… or OUTPUT:@file");
  return parse(text.slice(0, at), toLabels(text.slice(at + 1)));
}

/** Labels alone: the output is the only one whose last dimension is their number. */
export async function inferClassification(labelText: string, modelPath: string): Promise<Classification> {
  const labels = toLabels(labelText);
  const { outputs } = await inspectOnnxFile(modelPath);
  const fitting = outputs.filter((output) => output.shape.at(-1) === labels.length);
  const [only] = fitting;
  if (only !== undefined && fitting.length === 1) return parse(only.name, labels);
  throw toUsageError(
    `${labels.length} labels fit ${fitting.length === 0 ? "no output" : "more than one output"} of the model`,
    `name it: --classification OUTPUT:${labelText}; outputs: ${outputs.map((output) => `${output.name}[${output.shape.join(",")}]`).join(", ")}`,
  );
}
