import type { Command } from "../../command.ts";

export const listAlerts: Command = {
  noun: "alerts",
  verb: "list",
  summary: "List alerts",
  options: [{ flags: "--firing", description: "only those that fire now" }],
  async run({ client, out }, input) {
    const all = await (await client()).observations.listAlerts();
    out.list(input.flag("firing") === true ? all.filter((alert) => alert.state === "firing") : all, {
      name: (alert) => alert.alertId,
      empty: "no alerts",
      columns: [
        { title: "ALERT", cell: (alert) => alert.alertId },
        { title: "STATE", cell: (alert) => alert.state },
        { title: "KIND", cell: (alert) => alert.kind },
        { title: "DEVICE", cell: (alert) => alert.device ?? "-" },
        { title: "FIRED", cell: (alert) => out.toAge(alert.firedAtMs) },
        { title: "SUMMARY", cell: (alert) => alert.summary },
      ],
    });
  },
};
