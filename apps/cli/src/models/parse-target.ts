import { buildTargetSchema, type BuildTarget } from "@fairlead/protocol";
import { toUsageError } from "../errors.ts";

const keys: Readonly<Record<string, "arch" | "profiles" | "executionProviders">> = {
  arch: "arch",
  profile: "profiles",
  ep: "executionProviders",
};

/** `arch=x64+arm64,profile=generic-x86,ep=cpu`; a key may also be repeated. Nothing: every device, on the CPU. */
export function parseTarget(text: string): BuildTarget {
  const lists: Record<string, string[]> = {};
  for (const part of text.split(",").filter((piece) => piece.trim() !== "")) {
    const [key = "", value = ""] = part.split("=", 2).map((piece) => piece.trim());
    const field = Object.hasOwn(keys, key) ? keys[key] : undefined;
    if (field === undefined || value === "")
      throw toUsageError(`target "${text}": "${part}" is not understood`, "write arch=x64+arm64,profile=NAME,ep=cpu");
    lists[field] = [...(lists[field] ?? []), ...value.split("+")];
  }
  const parsed = buildTargetSchema.safeParse(lists);
  if (parsed.success) return parsed.data;
  throw toUsageError(
    `target "${text}": ${parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; ")}`,
  );
}
