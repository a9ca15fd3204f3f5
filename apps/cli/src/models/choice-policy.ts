import { choicePolicySchema, type ChoicePolicy } from "@fairlead/protocol";
import { toUsageError } from "../errors.ts";

/** The policy that travels in the release, or null when neither option was given. */
export function parseChoicePolicy(objective: string | undefined, floor: string | undefined): ChoicePolicy | null {
  if (objective === undefined && floor === undefined) return null;
  const accuracyFloor = floor === undefined ? null : floor.trim() === "" ? Number.NaN : Number(floor);
  const parsed = choicePolicySchema.safeParse({ objective: objective ?? "latency", accuracyFloor });
  if (parsed.success) return parsed.data;
  throw toUsageError(
    `choice of a build: ${parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; ")}`,
    "write --objective latency|energy|accuracy and --accuracy-floor 0..1",
  );
}
