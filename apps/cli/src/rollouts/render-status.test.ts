import { expect, it } from "vitest";
import { renderStatus } from "./render-status.ts";
import { makeStatus, t0 } from "./testing/make-status.ts";

const plain = { nowMs: t0 + 25_000, paint: (_: string, text: string) => text };

it("shows stages, counts, time and gates with value against threshold", () => {
  expect(renderStatus(makeStatus(), plain).join("\n")).toBe(
    [
      "ro-01hzzzzzzzzzzzzzzzzzzzzzzz  digit-reader 1.2.0 → slot reader, site=lab",
      "running",
      "├─ ◑ canary (role=canary)  soaking  1/2 succeeded, 1 working  soaking for 15s",
      "│     ✖ confidence  0.2512 against 0.6, n=120: mean confidence is too low",
      "└─ ○ all (100%)  scheduled  0/6 succeeded",
    ].join("\n"),
  );
});

it("says of a soak how long it is, since it has no value", () => {
  const soak = { gate: "soak", kind: "pass", code: "soaked", why: "soaked for 15 s" } as const;
  const [stage, ...rest] = makeStatus().stages;
  const verdict = { ...soak, value: null, threshold: 15_000, control: null, samples: null };
  const text = renderStatus(makeStatus({ stages: [{ ...stage!, verdicts: [verdict] }, ...rest] }), plain).join("\n");
  expect(text).toContain("✔ soak  soaked for 15 s\n");
});

it("says why it is paused and which devices are in trouble, without letting them steer the terminal", () => {
  const text = renderStatus(
    makeStatus({
      ...{ state: "paused", pauseReason: "gate_failed", reason: "confidence fell" },
      devices: [
        {
          device: "lab-1",
          stage: "canary",
          state: "failed",
          code: "self_test",
          reason: "bad\u001b[2J",
          previousVersion: null,
        },
        { device: "lab-2", stage: "canary", state: "succeeded", code: "ok", reason: null, previousVersion: null },
      ],
    }),
    plain,
  ).join("\n");
  expect(text).toContain("paused (gate_failed)  confidence fell");
  expect(text).toContain("! lab-1  failed  bad\\u001b[2J");
  expect(text).not.toContain("lab-2");
});
