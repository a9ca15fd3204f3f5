import { createHash, X509Certificate } from "node:crypto";
import { allowEndorsementRequestSchema } from "@fairlead/protocol";
import type { Command } from "../../command.ts";
import { toUsageError } from "../../errors.ts";
import { firstArgument } from "../../input.ts";
import { findOrSuggest, kinds } from "../../not-found.ts";
import { parseLabels } from "../../parse-labels.ts";
import { toLabelText } from "../devices/view.ts";
import { readEndorsementFile } from "./endorsement-file.ts";

export const allowEndorsement: Command = {
  noun: "enrolments",
  verb: "allow-ek",
  summary: "Allow the TPM with this endorsement key to enrol, without a token",
  options: [
    { flags: "--ek <file>", description: "its certificate or public key (PEM or DER), or what tpm2_createek -u wrote" },
    { flags: "--fingerprint <hex>", description: "instead: SHA-256 of the key's SubjectPublicKeyInfo" },
    { flags: "--description <text>", description: "which device it is", default: "" },
    { flags: "--label <key=value>", description: "label of the device (repeatable)", repeatable: true },
    { flags: "--profile <name>", description: "board profile of the device" },
    { flags: "--device <name>", description: "the only name under which it may enrol" },
    { flags: "--auto-approve", description: "issue the certificate at once, without an operator's approval" },
  ],
  async run({ client, out }, input) {
    const [file, hex] = [input.text("ek"), input.text("fingerprint")];
    if ((file === undefined) === (hex === undefined)) throw toUsageError("give either --ek or --fingerprint");
    const parsed = allowEndorsementRequestSchema.safeParse({
      fingerprint: file === undefined ? hex?.toLowerCase() : readEndorsementFile(file),
      description: input.required("description"),
      labels: input.many("label").length === 0 ? {} : parseLabels(input.many("label")),
      profile: input.text("profile") ?? null,
      device: input.text("device") ?? null,
      autoApprove: input.flag("autoApprove") === true,
    });
    if (!parsed.success)
      throw toUsageError(parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; "));
    const api = await client();
    const allowed = await api.enrolments.allowEndorsement(parsed.data);
    if (out.isStructured) return out.value(allowed);
    out.lines([allowed.fingerprint]);
    if (out.format === "name") return;
    const ca = new X509Certificate(await api.enrolments.readCa());
    const fingerprint = createHash("sha256").update(ca.raw).digest("hex");
    out.message("On the device:");
    out.message(
      `  fairlead-agent enrol --server ${api.server} --endorsed --ca-fingerprint ${fingerprint} --device ${allowed.device ?? "NAME"}`,
    );
  },
};

export const listEndorsements: Command = {
  noun: "enrolments",
  verb: "list-eks",
  summary: "List the endorsement keys whose TPMs may enrol",
  async run({ client, out }) {
    out.list(await (await client()).enrolments.listEndorsements(), {
      name: (endorsement) => endorsement.fingerprint,
      empty: "no endorsement keys: fairlead enrolments allow-ek allows one",
      columns: [
        { title: "ENDORSEMENT KEY", cell: ({ fingerprint }) => fingerprint },
        { title: "DEVICE", cell: ({ device }) => device ?? "-" },
        { title: "BY", cell: ({ source, createdBy }) => (source === "certificate" ? "its maker" : createdBy) },
        { title: "APPROVAL", cell: ({ autoApprove }) => (autoApprove ? "automatic" : "by an operator") },
        { title: "LABELS", cell: ({ labels }) => toLabelText(labels), wide: true },
        { title: "DESCRIPTION", cell: ({ description }) => description },
      ],
    });
  },
};

export const removeEndorsement: Command = {
  noun: "enrolments",
  verb: "remove-ek",
  summary: "Allow an endorsement key no longer; its device gets no further session",
  arguments: [{ syntax: "<fingerprint>", description: "as fairlead enrolments list-eks shows it" }],
  async run({ client, out, confirm }, input) {
    const fingerprint = firstArgument(input);
    const { enrolments } = await client();
    await findOrSuggest(kinds.endorsement, fingerprint, {
      find: async () => {
        await confirm(`remove the endorsement key ${fingerprint}?`);
        await enrolments.removeEndorsement(fingerprint);
      },
      listNames: async () => (await enrolments.listEndorsements()).map((endorsement) => endorsement.fingerprint),
    });
    out.message(`${fingerprint} may not enrol any more`);
  },
};
