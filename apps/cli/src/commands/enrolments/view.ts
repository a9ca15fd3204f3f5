import type { Enrolment } from "@fairlead/protocol";
import type { ListView, Output } from "../../output/output.ts";

export function enrolmentView(out: Output): ListView<Enrolment> {
  return {
    name: (enrolment) => enrolment.enrolmentId,
    empty: "no enrolments",
    columns: [
      { title: "ENROLMENT", cell: (enrolment) => enrolment.enrolmentId },
      { title: "DEVICE", cell: (enrolment) => enrolment.device },
      { title: "STATE", cell: (enrolment) => enrolment.state },
      { title: "PROFILE", cell: (enrolment) => enrolment.profile },
      { title: "KEY", cell: (enrolment) => enrolment.assurance },
      { title: "FROM", cell: (enrolment) => enrolment.fromAddress },
      { title: "REQUESTED", cell: (enrolment) => out.toAge(enrolment.requestedAtMs) },
      { title: "REQUEST FINGERPRINT", cell: (enrolment) => enrolment.csrFingerprint, wide: true },
    ],
  };
}
