import { CodedError } from "@fairlead/kernel";

export type SchedulerErrorCode = "overloaded" | "quota_exceeded" | "deadline_expired" | "model_closed" | "client_gone";

const hints: Record<SchedulerErrorCode, string> = {
  overloaded: "Send fewer requests at once, or retry later.",
  quota_exceeded: "Send fewer requests at once, or ask for a larger share of the device in its configuration.",
  deadline_expired: "Allow a longer timeout, or send fewer requests at once.",
  model_closed: "Load the model again.",
  client_gone: "Nothing to do: the client closed its connection.",
};

/** Why a request was never run. */
export class SchedulerError extends CodedError<SchedulerErrorCode> {
  constructor(code: SchedulerErrorCode, message: string) {
    super(code, message, { hint: hints[code] });
  }
}
