import { createApiTokenRequestSchema, roleSchema } from "@fairlead/protocol";
import type { Command } from "../../command.ts";
import { toUsageError } from "../../errors.ts";
import { findOrSuggest, kinds } from "../../not-found.ts";
import { parseDuration } from "../../parse-duration.ts";

export const createApiToken: Command = {
  noun: "tokens",
  verb: "create",
  summary: "Make a token for a person or a machine; it is shown once",
  options: [
    {
      flags: "--role <role>",
      description:
        "viewer sees; operator also acts on the fleet; publisher brings models; approver admits devices; admin may all",
      choices: roleSchema.options,
      required: true,
    },
    {
      flags: "--selector <selector>",
      description: "the part of the fleet that it reaches: site=berlin,!canary; without one, all of it",
    },
    {
      flags: "--person <name>",
      description: "whose it is, where two people are asked for; without one, yours",
    },
    { flags: "--description <text>", description: "who has it and what for", default: "" },
    { flags: "--ttl <duration>", description: "how long it is valid", default: "90d" },
  ],
  async run({ client, out }, input) {
    const parsed = createApiTokenRequestSchema.safeParse({
      role: input.required("role"),
      selector: input.text("selector") ?? null,
      ...(input.text("person") === undefined ? {} : { person: input.text("person") }),
      description: input.required("description"),
      ttlMs: parseDuration(input.required("ttl")),
    });
    if (!parsed.success) throw toUsageError(parsed.error.issues.map((issue) => issue.message).join("; "));
    const created = await (await client()).tokens.create(parsed.data);
    if (out.isStructured) return out.value(created);
    out.lines([created.token]);
    out.message(
      `${created.tokenId}, valid until ${new Date(created.expiresAtMs).toISOString()}; it is not shown again`,
    );
  },
};

export const listApiTokens: Command = {
  noun: "tokens",
  verb: "list",
  summary: "List tokens, without their secrets",
  async run({ client, out, nowMs }) {
    const toState = (token: { readonly revokedAtMs: number | null; readonly expiresAtMs: number | null }): string => {
      if (token.revokedAtMs !== null) return "revoked";
      return token.expiresAtMs !== null && token.expiresAtMs <= nowMs() ? "expired" : "in force";
    };
    out.list(await (await client()).tokens.list(), {
      name: (token) => token.tokenId,
      empty: "no tokens",
      columns: [
        { title: "TOKEN", cell: (token) => token.tokenId },
        { title: "ROLE", cell: (token) => token.role },
        { title: "REACH", cell: (token) => token.selector ?? "fleet" },
        { title: "PERSON", cell: (token) => token.person },
        { title: "STATE", cell: toState },
        { title: "CREATED", cell: (token) => out.toAge(token.createdAtMs) },
        { title: "DESCRIPTION", cell: (token) => token.description },
      ],
    });
  },
};

export const revokeApiToken: Command = {
  noun: "tokens",
  verb: "revoke",
  summary: "End a token now",
  arguments: [{ syntax: "<token-id>", description: "as fairlead tokens list shows it" }],
  async run({ client, out, confirm }, input) {
    const [tokenId = ""] = input.args;
    const { tokens } = await client();
    await findOrSuggest(kinds.token, tokenId, {
      find: async () => {
        await confirm(`revoke ${tokenId}?`);
        await tokens.revoke(tokenId);
      },
      listNames: async () => (await tokens.list()).map((token) => token.tokenId),
    });
    out.message(`${tokenId} is revoked`);
  },
};
