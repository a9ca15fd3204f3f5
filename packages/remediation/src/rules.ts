import type { SymptomKind } from "@fairlead/protocol";

/** A rule as data: which symptom, what to do, how to know that it helped, and its brakes. */
export interface Rule {
  readonly name: string;
  readonly symptom: SymptomKind;
  /** For `integrity-failed`: model files that can be fetched again, or everything else. */
  readonly subject: "repairable-model" | "other-file" | "slot" | "device";
  readonly quarantine: boolean;
  readonly steps: readonly ("stop-serving" | "repair-artifact" | "revert")[];
  /** When an alert fires; every failed case fires one. */
  readonly alert: "always" | "on-failure";
  /** How long a command may take. */
  readonly commandTimeoutMs: number;
  /** How long the outcome may take after the commands are done; null = it waits as long as it takes. */
  readonly verifyTimeoutMs: number | null;
  readonly coolDownMs: number;
  /** Pause between two attempts of one case. */
  readonly retryDelayMs: number;
  readonly maxAttempts: number;
  /** True when the rule touches the device, so that it counts against the share of the fleet. */
  readonly limited: boolean;
}

export interface RemediationConfig {
  readonly rules: readonly Rule[];
  /** Largest share of the fleet that remediation holds at once; at least one device. 0..1. */
  readonly maxFleetRatio: number;
  readonly crashLoopCount: number;
  readonly crashLoopWindowMs: number;
  readonly silentAfterMs: number;
}

export const defaultRemediationConfig: RemediationConfig = {
  maxFleetRatio: 0.2,
  crashLoopCount: 3,
  crashLoopWindowMs: 600_000,
  silentAfterMs: 300_000,
  rules: [
    {
      name: "hold-tampered-device",
      symptom: "integrity-failed",
      subject: "other-file",
      quarantine: true,
      steps: [],
      alert: "always",
      commandTimeoutMs: 60_000,
      verifyTimeoutMs: null,
      coolDownMs: 60_000,
      retryDelayMs: 0,
      maxAttempts: 1,
      limited: true,
    },
    {
      name: "repair-model-file",
      symptom: "integrity-failed",
      subject: "repairable-model",
      quarantine: true,
      steps: ["stop-serving", "repair-artifact"],
      alert: "on-failure",
      commandTimeoutMs: 300_000,
      verifyTimeoutMs: 120_000,
      coolDownMs: 300_000,
      retryDelayMs: 15_000,
      maxAttempts: 3,
      limited: true,
    },
    {
      name: "revert-crashing-build",
      symptom: "crash-loop",
      subject: "slot",
      quarantine: false,
      steps: ["revert"],
      alert: "on-failure",
      commandTimeoutMs: 120_000,
      verifyTimeoutMs: 120_000,
      coolDownMs: 900_000,
      retryDelayMs: 15_000,
      maxAttempts: 2,
      limited: true,
    },
    {
      name: "alert-missed-placement",
      symptom: "placement-missed",
      subject: "slot",
      quarantine: false,
      steps: [],
      alert: "always",
      commandTimeoutMs: 60_000,
      verifyTimeoutMs: null,
      coolDownMs: 60_000,
      retryDelayMs: 0,
      maxAttempts: 1,
      limited: false,
    },
    {
      name: "alert-silent-device",
      symptom: "device-silent",
      subject: "device",
      quarantine: false,
      steps: [],
      alert: "always",
      commandTimeoutMs: 60_000,
      verifyTimeoutMs: null,
      coolDownMs: 60_000,
      retryDelayMs: 0,
      maxAttempts: 1,
      limited: false,
    },
  ],
};
