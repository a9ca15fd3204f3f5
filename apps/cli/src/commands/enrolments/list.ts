import type { Command } from "../../command.ts";
import { enrolmentView } from "./view.ts";

export const listEnrolments: Command = {
  noun: "enrolments",
  verb: "list",
  summary: "List devices that asked to join",
  options: [{ flags: "--pending", description: "only those that wait for a decision" }],
  async run({ client, out }, input) {
    const all = await (await client()).enrolments.list();
    out.list(input.flag("pending") === true ? all.filter((item) => item.state === "pending") : all, enrolmentView(out));
  },
};
