import { toErrorMessage } from "@fairlead/kernel";
import { modelVersionSchema, type ModelVersion } from "@fairlead/protocol";
import { readFileSync, statSync } from "node:fs";
import * as z from "zod";
import { CliError } from "../errors.ts";

const maxBytes = 4_194_304;
/** What `fairlead models describe MODEL VERSION -o json` wrote; a release consists of its content. */
const manifestSchema = z.object({ content: modelVersionSchema });

/**
 * A registered version that was carried here in a file.
 * @throws CliError `file_unreadable`, also when it is another model or version than the one that is meant
 */
export function readManifest(path: string, model: string, version: string): ModelVersion {
  let content: ModelVersion;
  try {
    if (statSync(path).size > maxBytes) throw new RangeError(`it is longer than ${maxBytes} bytes`);
    content = manifestSchema.parse(JSON.parse(readFileSync(path, "utf8"))).content;
  } catch (error) {
    const why = error instanceof z.ZodError ? z.prettifyError(error).split("\n")[0] : toErrorMessage(error);
    throw new CliError("file_unreadable", `${path} holds no registered version: ${why}`, {
      cause: error,
      hint: `where the plane can be reached: fairlead models describe ${model} ${version} -o json > FILE`,
    });
  }
  if (content.model === model && content.version === version) return content;
  throw new CliError("file_unreadable", `${path} holds ${content.model} ${content.version}, not ${model} ${version}`, {
    hint: "name the version that the file is about, or bring the other file",
  });
}
