import type { Client } from "@fairlead/client";
import { ClientError } from "@fairlead/client";
import type { Enrolment } from "@fairlead/protocol";
import type { Command } from "../../command.ts";
import { firstArgument } from "../../input.ts";
import { suggestName } from "../../suggest.ts";
import { enrolmentView } from "../enrolments/view.ts";

/** The pending enrolment of this device name or enrolment id; the newest when a device asked more than once. */
async function findPending(client: Client, name: string): Promise<Enrolment> {
  const pending = (await client.enrolments.list()).filter((enrolment) => enrolment.state === "pending");
  const found = pending
    .filter((enrolment) => enrolment.device === name || enrolment.enrolmentId === name)
    .toSorted((left, right) => right.requestedAtMs - left.requestedAtMs)[0];
  if (found !== undefined) return found;
  const near = suggestName(
    name,
    pending.map((enrolment) => enrolment.device),
  );
  throw new ClientError("not_found", `no enrolment of "${name}" waits for a decision`, {
    hint: near === null ? "fairlead enrolments list shows what waits" : `did you mean "${near}"?`,
  });
}

const target = { syntax: "<device>", description: "device name or enrolment id" };

export const approveDevice: Command = {
  noun: "devices",
  verb: "approve",
  summary: "Let a waiting device in: its certificate is issued",
  arguments: [target],
  async run({ client, out, confirm }, input) {
    const api = await client();
    const enrolment = await findPending(api, firstArgument(input));
    await confirm(`approve ${enrolment.device} from ${enrolment.fromAddress}, request ${enrolment.csrFingerprint}?`);
    const decided = await api.enrolments.approve(enrolment.enrolmentId);
    if (out.isStructured || out.format === "name") out.list([decided], enrolmentView(out));
    else out.message(`${enrolment.device} is approved; fairlead devices list shows it when it connects`);
  },
};

export const denyDevice: Command = {
  noun: "devices",
  verb: "deny",
  summary: "Refuse a waiting device",
  arguments: [target],
  options: [
    { flags: "--reason <text>", description: "told to the device and the audit log", default: "denied by an operator" },
  ],
  async run({ client, out, confirm }, input) {
    const api = await client();
    const enrolment = await findPending(api, firstArgument(input));
    await confirm(`deny ${enrolment.device} from ${enrolment.fromAddress}?`);
    const decided = await api.enrolments.deny(enrolment.enrolmentId, input.required("reason"));
    if (out.isStructured || out.format === "name") out.list([decided], enrolmentView(out));
    else out.message(`${enrolment.device} is denied`);
  },
};
