import type { Command } from "../../command.ts";
import { firstArgument } from "../../input.ts";

export const resolveAlert: Command = {
  noun: "alerts",
  verb: "resolve",
  summary: "End an alert that nothing but your word ends, such as plane-forked; the others end with their cause",
  arguments: [{ syntax: "<alert>", description: "id of an alert" }],
  options: [{ flags: "--reason <text>", description: "for the audit log", required: true }],
  async run({ client, out, confirm }, input) {
    const id = firstArgument(input);
    await confirm(`say that ${id} is over?`);
    const alert = await (await client()).observations.resolveAlert(id, input.required("reason"));
    if (out.isStructured) return out.value(alert);
    out.message(`${alert.alertId} (${alert.kind}) is resolved`);
  },
};
