import type { Command } from "../../command.ts";
import { findOrSuggest, kinds } from "../../not-found.ts";
import { toLabelText } from "../devices/view.ts";

export const listEnrolmentTokens: Command = {
  noun: "enrolments",
  verb: "list-tokens",
  summary: "List the tokens with which devices may enrol, without their secrets",
  async run({ client, out, nowMs }) {
    const toState = ({ usesLeft, expiresAtMs }: { readonly usesLeft: number; readonly expiresAtMs: number }): string =>
      expiresAtMs <= nowMs() ? "expired" : usesLeft === 0 ? "no use left" : `${usesLeft} uses left`;
    out.list(await (await client()).enrolments.listTokens(), {
      name: (token) => token.tokenId,
      empty: "no tokens: fairlead enrolments create-token makes one",
      columns: [
        { title: "TOKEN", cell: (token) => token.tokenId },
        { title: "STATE", cell: toState },
        { title: "APPROVAL", cell: ({ autoApprove }) => (autoApprove ? "automatic" : "by an operator") },
        { title: "PROFILE", cell: ({ profile }) => profile ?? "any" },
        { title: "LABELS", cell: ({ labels }) => toLabelText(labels) },
        { title: "ENDS", cell: ({ expiresAtMs }) => new Date(expiresAtMs).toISOString() },
        { title: "DESCRIPTION", cell: ({ description }) => description },
      ],
    });
  },
};

export const revokeEnrolmentToken: Command = {
  noun: "enrolments",
  verb: "revoke-token",
  summary: "Let nobody enrol with a token any more; devices that did stay",
  arguments: [{ syntax: "<token-id>", description: "as fairlead enrolments list-tokens shows it" }],
  async run({ client, out, confirm }, input) {
    const [tokenId = ""] = input.args;
    const { enrolments } = await client();
    await findOrSuggest(kinds.enrolmentToken, tokenId, {
      find: async () => {
        await confirm(`let nobody enrol with ${tokenId} any more?`);
        await enrolments.revokeToken(tokenId);
      },
      listNames: async () => (await enrolments.listTokens()).map((token) => token.tokenId),
    });
    out.message(`${tokenId} is revoked`);
  },
};
