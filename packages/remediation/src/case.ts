import type {
  CommandAction,
  DeviceLifecycle,
  IntegrityState,
  MeasurementKind,
  RemediationState,
  SymptomKind,
} from "@fairlead/protocol";

/** A file whose digest is not the expected one, or that cannot be measured. */
export interface FailingMeasurement {
  readonly kind: MeasurementKind;
  readonly name: string;
  /** The slot whose model file it is; null for every other file. */
  readonly slot: string | null;
  readonly expected: string | null;
  readonly actual: string | null;
  /** Size of the artifact with the expected digest; null when the plane does not have it, so it cannot be repaired. */
  readonly sizeBytes: number | null;
}

/** A crash or hang of the serving process that is blamed on one build. */
export interface ServingCrash {
  readonly tsMs: number;
  readonly slot: string;
  readonly buildDigest: string;
}

export interface SlotObservation {
  readonly slot: string;
  readonly serving: boolean;
  readonly activeBuildDigest: string | null;
  readonly previousBuildDigest: string | null;
  /** False while the device itself still watches the build (its job has not ended): then it reverts by itself. */
  readonly confirmed: boolean;
  /** The provider that was wanted and on which not one node ran, and why; null when all is as wanted or not known. */
  readonly missedPlacement: { readonly wanted: string; readonly reason: string } | null;
}

export interface CommandOutcome {
  readonly commandId: string;
  readonly outcome: "pending" | "done" | "failed" | "refused" | "expired";
  readonly reason: string | null;
}

/** What the plane knows of one device now. One entry per device of the fleet, each with a different `device`. */
export interface DeviceObservation {
  readonly device: string;
  readonly lifecycle: DeviceLifecycle;
  /** Its identity was used in two places: a repaired file says nothing about who holds the key, so an operator ends that. */
  readonly doubted: boolean;
  readonly online: boolean;
  readonly lastSeenMs: number | null;
  /** Since when the plane listens: a silence before that is its own. */
  readonly listeningSinceMs: number;
  readonly integrity: {
    readonly state: IntegrityState;
    /** When the plane received the evidence that this state rests on. */
    readonly evidenceAtMs: number | null;
    readonly failing: readonly FailingMeasurement[];
  };
  /** At least those of the last crash-loop window. */
  readonly crashes: readonly ServingCrash[];
  readonly slots: readonly SlotObservation[];
  /** At least those that cases, ended ones too, still wait for. */
  readonly commands: readonly CommandOutcome[];
}

export interface CaseAction {
  readonly kind: string;
  readonly atMs: number;
  readonly state: "issued" | "done" | "failed";
  readonly commandId: string | null;
  readonly detail: string;
  /** The case's attempt that it belongs to, from 1. */
  readonly attempt: number;
}

/** All that is persisted of one case. Changed only by `applyAction`. */
export interface RemediationCase {
  readonly remediationId: string;
  readonly device: string;
  readonly rule: string;
  readonly symptom: SymptomKind;
  readonly evidence: Readonly<Record<string, unknown>>;
  readonly state: RemediationState;
  readonly code: string;
  readonly reason: string;
  readonly detectedAtMs: number;
  readonly updatedAtMs: number;
  readonly endedAtMs: number | null;
  readonly actions: readonly CaseAction[];
  /** 0 before the first attempt. */
  readonly attempt: number;
  /** When the present attempt began; null before the first. */
  readonly attemptAtMs: number | null;
  /** Since when the outcome of the present attempt is awaited; null before that. */
  readonly verifyingSinceMs: number | null;
  /** `held`: this case put the device into quarantine and has to let it out. */
  readonly quarantine: "none" | "held" | "released";
  readonly alert: "none" | "firing" | "resolved";
}

interface ActionData {
  /** Create a case in state `detected`. The plane chooses the id and passes it to `applyAction`. */
  "open-case": {
    readonly device: string;
    readonly rule: string;
    readonly symptom: SymptomKind;
    readonly evidence: Readonly<Record<string, unknown>>;
  };
  /** Create a case that ends at once in state `suppressed`; `code` is `cool_down` or `blast_radius`. */
  "suppress-case": {
    readonly device: string;
    readonly rule: string;
    readonly symptom: SymptomKind;
    readonly evidence: Readonly<Record<string, unknown>>;
  };
  /** A new attempt begins: `executing`. */
  "start-attempt": { readonly remediationId: string; readonly device: string; readonly attempt: number };
  /** SIDE EFFECT: lifecycle := quarantined. */
  quarantine: { readonly remediationId: string; readonly device: string };
  /** SIDE EFFECT: sign and send; pass the command's id to `applyAction`. */
  "issue-command": {
    readonly remediationId: string;
    readonly device: string;
    readonly action: CommandAction;
    readonly deadlineAtMs: number;
    readonly attempt: number;
  };
  /** SIDE EFFECT: the slot's desired release := the one that its previous build belongs to, so that a revert lasts. */
  "withdraw-release": {
    readonly remediationId: string;
    readonly device: string;
    readonly slot: string;
    readonly fromBuildDigest: string;
    readonly toBuildDigest: string;
  };
  /** A command of the case ended. */
  "record-outcome": {
    readonly remediationId: string;
    readonly device: string;
    readonly commandId: string;
    readonly done: boolean;
  };
  /** Every command of the attempt is done: `verifying`. */
  "start-verifying": { readonly remediationId: string; readonly device: string };
  /** SIDE EFFECT: an alert fires / is resolved; at most one per case, `alertKind` = the rule's name. */
  "fire-alert": { readonly remediationId: string; readonly device: string; readonly alertKind: string };
  "resolve-alert": { readonly remediationId: string; readonly device: string };
  /** SIDE EFFECT: lifecycle := enrolled, if it is quarantined. */
  "release-quarantine": { readonly remediationId: string; readonly device: string };
  "close-case": {
    readonly remediationId: string;
    readonly device: string;
    readonly state: "resolved" | "failed";
  };
}

export type ActionKind = keyof ActionData;

/** Why, for machines and for people, and the numbers that led to it. */
export interface Because {
  readonly code: string;
  readonly reason: string;
  readonly numbers: Readonly<Record<string, number>>;
}

export type Action = {
  readonly [Kind in ActionKind]: { readonly kind: Kind } & ActionData[Kind] & Because;
}[ActionKind];

export type ActionOf<Kind extends ActionKind> = Extract<Action, { readonly kind: Kind }>;
