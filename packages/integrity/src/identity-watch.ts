import type { ChainHead } from "./chain.ts";
import { endTurn, findOverdue, type EndedTurn, type Turn } from "./succession.ts";
import { addTakeover, explainTakeovers, isFight, noTakeovers, type Takeovers } from "./takeovers.ts";

/** One process of an agent, as its births told of it. */
export interface AgentLife {
  /** Random, made at the process's start, in its memory alone: a copied data folder does not bring it along. */
  readonly instance: string;
  /** Highest session number that it has reported. */
  readonly session: number;
  readonly address: string | null;
  readonly seenAtMs: number;
  /** How often it came back with a new session after another process had spoken in between. */
  readonly returns: number;
}

/** Why one identity is taken to be used in two places, and what was seen. */
export interface CloneFinding {
  readonly code:
    | "instances_alternate"
    | "sequence_forked"
    | "chain_forked"
    | "epoch_returned"
    | "superseded_certificate_used"
    | "session_contended";
  readonly reason: string;
  /** Facts in the order in which they were seen, for people. */
  readonly evidence: readonly string[];
  readonly foundAtMs: number;
}

/** What is remembered of one identity; small, bounded, and nothing but data. */
export interface IdentityWatch {
  /** The newest last. */
  readonly lives: readonly AgentLife[];
  /** Heads of evidence chains that another branch took the place of. */
  readonly abandoned: readonly ChainHead[];
  /** The first one; it stays until the identity is made anew. */
  readonly finding: CloneFinding | null;
  /** When a finding was left without consequences, because too many others have one; absent: never. */
  readonly suppressedAtMs?: number;
  /** The epoch of the device's queue that began last. */
  readonly epoch?: Turn;
  readonly endedEpochs?: readonly EndedTurn[];
  /** Certificates that a renewal took the place of, by fingerprint. */
  readonly endedCertificates?: readonly EndedTurn[];
  /** Of living sessions, lately. */
  readonly takenOver?: Takeovers;
}

export type IdentitySighting =
  | {
      readonly kind: "birth";
      readonly instance: string;
      readonly session: number;
      readonly address: string | null;
      readonly atMs: number;
    }
  /** A place in the device's queue that is stored came again with another content. */
  | {
      readonly kind: "sequence-fork";
      readonly epoch: string;
      readonly seq: number;
      readonly what: string;
      readonly atMs: number;
    }
  /** A link was put in the place of `replaced`, which had been accepted; or the chain began again and left it behind. */
  | { readonly kind: "chain-fork"; readonly replaced: ChainHead; readonly atMs: number }
  /** Any link, by the head that it continues. */
  | { readonly kind: "chain-link"; readonly index: number; readonly previous: string; readonly atMs: number }
  /** Any message that names the epoch of the queue that it comes from. */
  | { readonly kind: "epoch"; readonly epoch: string; readonly address: string | null; readonly atMs: number }
  /** A renewed certificate was used for the first time, and this one is over. It counted no longer than since `sinceMs`. */
  | {
      readonly kind: "certificate-ended";
      readonly fingerprint: string;
      readonly sinceMs: number;
      readonly atMs: number;
    }
  /** Somebody proved to hold the key of a certificate that is not in force. */
  | {
      readonly kind: "certificate-shown";
      readonly fingerprint: string;
      readonly address: string;
      readonly atMs: number;
    }
  | { readonly kind: "takeover"; readonly silentMs: number; readonly address: string; readonly atMs: number };

/** What agents of before say of their process: nothing. All of them are one. */
export const namelessInstance = "none";

export const noSightings: IdentityWatch = { lives: [], abandoned: [], finding: null };

const kept = 8;
/**
 * One process of one folder seems to return at most twice: after late words of the one before it, and with late words of
 * its own when its successor lost the count. Three times, the other one is alive too.
 */
const returnsOfTheLiving = 3;

function note(watch: IdentityWatch, finding: CloneFinding): IdentityWatch {
  return watch.finding === null ? { ...watch, finding } : watch;
}

function toSecondsText(durationMs: number): string {
  return `${Math.round(durationMs / 1_000)} s`;
}

function toLifeText({ instance, session, address }: AgentLife): string {
  return `process ${instance.slice(0, 8)} from ${address ?? "an unknown address"}, session ${session}`;
}

type Born = Extract<IdentitySighting, { kind: "birth" }>;

/** Whether the process that had the session took it over from itself: its session number counts its connections. */
function explain(watch: IdentityWatch, { instance, session, address, atMs }: Born): IdentityWatch {
  const { takenOver = noTakeovers } = watch;
  const current = watch.lives.at(-1);
  const isSame = current?.instance === instance && instance !== namelessInstance;
  if (takenOver.open.length === 0 || (isSame && session === current.session)) return watch;
  // Its number never falls, so a lower one is somebody else's, whatever it is called.
  const own = isSame ? Math.max(0, session - current.session) : 0;
  return judgeTakeovers(watch, explainTakeovers(takenOver, { own, atMs }), { address, atMs });
}

function watchBirth(before: IdentityWatch, sighting: Born): IdentityWatch {
  const { instance, session, address, atMs } = sighting;
  const watch = explain(before, sighting);
  const current = watch.lives.at(-1);
  const known = watch.lives.find((life) => life.instance === instance);
  // An old birth that comes late is no sign of life.
  if (known !== undefined && known !== current && session <= known.session) return watch;
  // Of one folder the numbers only grow, so what an ended process said lies below its successor's. Of two folders one
  // is ahead of the other, and that one is seen to return.
  const hasReturned = known !== undefined && known !== current && session > (current?.session ?? 0);
  const life: AgentLife = {
    ...{ instance, address, seenAtMs: atMs },
    session: Math.max(session, known?.session ?? 0),
    returns: (known?.returns ?? 0) + (hasReturned ? 1 : 0),
  };
  const others = watch.lives.filter((one) => one.instance !== instance);
  const after: IdentityWatch = { ...watch, lives: [...others, life].slice(-kept) };
  if (life.returns < returnsOfTheLiving || current === undefined) return after;
  return note(after, {
    code: "instances_alternate",
    reason: "two processes use this identity in turn",
    evidence: [...others.slice(-2).map(toLifeText), `${toLifeText(life)}, back ${life.returns} times`],
    foundAtMs: atMs,
  });
}

function watchEpoch(watch: IdentityWatch, sighting: Extract<IdentitySighting, { kind: "epoch" }>): IdentityWatch {
  const { epoch, address, atMs } = sighting;
  const current = watch.epoch;
  if (current?.id === epoch) return watch;
  const ended = watch.endedEpochs ?? [];
  const overdue = findOverdue(ended, epoch, atMs);
  if (overdue !== undefined)
    return note(watch, {
      code: "epoch_returned",
      reason: "a queue of this identity goes on although another had followed it",
      evidence: [
        `epoch ${current?.id ?? "of another queue"} followed epoch ${epoch}`,
        `epoch ${epoch} goes on ${toSecondsText(atMs - overdue.untilMs)} later, from ${address ?? "an unknown address"}`,
      ],
      foundAtMs: atMs,
    });
  // A late word of the queue before does not begin it anew.
  if (ended.some(({ id }) => id === epoch)) return watch;
  const begun = { ...watch, epoch: { id: epoch, sinceMs: atMs } };
  return current === undefined ? begun : { ...begun, endedEpochs: endTurn(ended, current, atMs) };
}

function endCertificate(
  watch: IdentityWatch,
  { fingerprint, sinceMs, atMs }: Extract<IdentitySighting, { kind: "certificate-ended" }>,
): IdentityWatch {
  const ended = watch.endedCertificates ?? [];
  const turn = { id: fingerprint, sinceMs: Math.max(sinceMs, ended.at(-1)?.untilMs ?? sinceMs) };
  return { ...watch, endedCertificates: endTurn(ended, turn, atMs) };
}

function watchCertificate(
  watch: IdentityWatch,
  { fingerprint, address, atMs }: Extract<IdentitySighting, { kind: "certificate-shown" }>,
): IdentityWatch {
  const overdue = findOverdue(watch.endedCertificates ?? [], fingerprint, atMs);
  if (overdue === undefined) return watch;
  return note(watch, {
    code: "superseded_certificate_used",
    reason: "a certificate of this identity is in use although its renewal is too",
    evidence: [
      `the renewal of certificate ${fingerprint.slice(0, 19)}… was used for the first time`,
      `the certificate was shown with its key ${toSecondsText(atMs - overdue.untilMs)} later, from ${address}`,
    ],
    foundAtMs: atMs,
  });
}

function judgeTakeovers(
  watch: IdentityWatch,
  takenOver: Takeovers,
  { address, atMs }: Pick<Born, "address" | "atMs">,
): IdentityWatch {
  const after = { ...watch, takenOver };
  if (!isFight(takenOver)) return after;
  const timesMs = [...takenOver.foreign, ...takenOver.open];
  return note(after, {
    code: "session_contended",
    reason: "two connections take this identity's session from each other",
    evidence: [
      `${timesMs.length} living sessions were taken over within ${toSecondsText(atMs - (timesMs[0] ?? atMs))}`,
      `the last one from ${address ?? "an unknown address"}`,
    ],
    foundAtMs: atMs,
  });
}

function watchTakeover(watch: IdentityWatch, sighting: Extract<IdentitySighting, { kind: "takeover" }>): IdentityWatch {
  const before = watch.takenOver ?? noTakeovers;
  const takenOver = addTakeover(before, sighting);
  return takenOver === before || watch.finding !== null ? watch : judgeTakeovers(watch, takenOver, sighting);
}

/**
 * Takes in what was seen of one identity. Total, deterministic, and idempotent for a sighting that is repeated.
 *
 * Told apart from a clone: a process that restarts is a new instance, and the old one never comes back; one that
 * reconnects, from wherever, is the same instance; an outbox that was lost begins another epoch; a state file that was
 * lost sets a number back once, and only one of two branches goes on from there; a device that lost its network takes
 * over a session that has fallen silent; one that lost power before its new certificate was saved never used it.
 */
export function watchIdentity(watch: IdentityWatch, sighting: IdentitySighting): IdentityWatch {
  switch (sighting.kind) {
    case "birth":
      return watchBirth(watch, sighting);
    case "sequence-fork": {
      const { epoch, seq, what, atMs } = sighting;
      return note(watch, {
        code: "sequence_forked",
        reason: "two queues of this identity count in one epoch",
        evidence: [`epoch ${epoch}, number ${seq}: ${what}`],
        foundAtMs: atMs,
      });
    }
    case "chain-fork":
      return watch.abandoned.some(({ head }) => head === sighting.replaced.head)
        ? watch
        : { ...watch, abandoned: [...watch.abandoned, sighting.replaced].slice(-kept) };
    case "chain-link": {
      const left = watch.abandoned.find(({ head }) => head === sighting.previous);
      if (left === undefined) return watch;
      return note(watch, {
        code: "chain_forked",
        reason: "both branches of this identity's evidence chain go on",
        evidence: [
          `link ${left.index} (${left.head.slice(0, 19)}…) was replaced by another one`,
          `link ${sighting.index} continues it all the same`,
        ],
        foundAtMs: sighting.atMs,
      });
    }
    case "epoch":
      return watchEpoch(watch, sighting);
    case "certificate-ended":
      return endCertificate(watch, sighting);
    case "certificate-shown":
      return watchCertificate(watch, sighting);
    case "takeover":
      return watchTakeover(watch, sighting);
  }
}
