import { CodedError } from "@fairlead/kernel";
import type { HttpErrorCode } from "@fairlead/protocol";

export interface LabelsAsked {
  /** What the device says of itself. */
  readonly own: Readonly<Record<string, string>>;
  /** What the token or the entry of the TPM's endorsement key says of whoever uses it. */
  readonly given: Readonly<Record<string, string>>;
  /** Nobody looks at the request before it is admitted. */
  readonly autoApprove: boolean;
}

const toList = (names: readonly string[]): string => names.join(", ").slice(0, 200);

/**
 * The labels of a device that enrols: rollouts, permissions and access to artifacts go by them. A right that names labels
 * and asks nobody admits devices of these labels and no others; where a person approves, that person sees what the device adds.
 * @throws CodedError `enrolment_denied`
 */
export function decideLabels({ own, given, autoApprove }: LabelsAsked): Record<string, string> {
  const added = Object.keys(own).filter((key) => !Object.hasOwn(given, key));
  const names = Object.keys(given);
  if (autoApprove && names.length > 0 && added.length > 0)
    throw new CodedError<HttpErrorCode>(
      "enrolment_denied",
      `the labels of this device are given (${toList(names)}), and it asks for more: ${toList(added)}`,
      { hint: "enrol without them and let an operator label the device, or ask for a token that waits for approval" },
    );
  return { ...own, ...given };
}
