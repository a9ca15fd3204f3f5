import { createTokenRequestSchema } from "@fairlead/protocol";
import type { Command } from "../../command.ts";
import { toUsageError } from "../../errors.ts";
import { parseDuration } from "../../parse-duration.ts";
import { parseLabels } from "../../parse-labels.ts";
import { parseNumber } from "../../parse-option.ts";

const devices = {
  what: "how many devices may use it, a whole number from 1 to 100000",
  fits: (count: number) => Number.isInteger(count) && count >= 1 && count <= 100_000,
};

export const createToken: Command = {
  noun: "enrolments",
  verb: "create-token",
  summary: "Make a token with which agents may enrol; it is shown once",
  options: [
    { flags: "--description <text>", description: "what it is for", default: "" },
    {
      flags: "--label <key=value>",
      description: "label of every device that enrols with it (repeatable)",
      repeatable: true,
    },
    { flags: "--profile <profile>", description: "the only kind of board that may enrol with it; left out: any" },
    { flags: "--uses <count>", description: "how many devices may use it", default: "1" },
    { flags: "--ttl <duration>", description: "how long it is valid", default: "24h" },
    { flags: "--auto-approve", description: "issue certificates at once, without an operator's approval" },
  ],
  async run({ client, out }, input) {
    const parsed = createTokenRequestSchema.safeParse({
      description: input.required("description"),
      labels: input.many("label").length === 0 ? {} : parseLabels(input.many("label")),
      profile: input.text("profile") ?? null,
      uses: parseNumber("--uses", input.required("uses"), devices),
      ttlMs: parseDuration(input.required("ttl")),
      autoApprove: input.flag("autoApprove") === true,
    });
    if (!parsed.success)
      throw toUsageError(parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; "));
    const api = await client();
    const created = await api.enrolments.createToken(parsed.data);
    if (out.isStructured) return out.value(created);
    out.lines([out.format === "name" ? created.tokenId : created.token]);
    out.message(`valid until ${new Date(created.expiresAtMs).toISOString()}; it is not shown again. On the device:`);
    out.message(`  fairlead-agent enrol --server ${api.server} --token TOKEN --device NAME`);
  },
};
