import type { Command } from "../../command.ts";
import { firstArgument } from "../../input.ts";
import { findOrSuggest, kinds } from "../../not-found.ts";

export const resolveAlert: Command = {
  noun: "alerts",
  verb: "resolve",
  summary: "End an alert that nothing but your word ends, such as plane-forked; the others end with their cause",
  arguments: [{ syntax: "<alert>", description: "id of an alert" }],
  options: [{ flags: "--reason <text>", description: "for the audit log", required: true }],
  async run({ client, out, confirm }, input) {
    const id = firstArgument(input);
    const { observations } = await client();
    const alert = await findOrSuggest(kinds.alert, id, {
      find: async () => {
        await confirm(`say that ${id} is over?`);
        return await observations.resolveAlert(id, input.required("reason"));
      },
      listNames: async () => (await observations.listAlerts()).map(({ alertId }) => alertId),
    });
    if (out.isStructured) return out.value(alert);
    out.message(`${alert.alertId} (${alert.kind}) is resolved`);
  },
};
