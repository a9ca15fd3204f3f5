import type { SignableDocument, Signed } from "@fairlead/artifacts";
import type { Clock, Logger, Service } from "@fairlead/kernel";
import type {
  AuditEntry,
  Birth,
  DesiredSlot,
  Evidence,
  EventData,
  ReplyMessage,
  Reported,
  StreamEvent,
  TelemetryWindow,
  Topic,
  WebhookEvent,
} from "@fairlead/protocol";
import type { Store, Transaction } from "@fairlead/store";
import type { Alerts } from "./alerts/alerts.ts";
import type { RefusalAudit } from "./audit/refusal-audit.ts";
import type { AnyRoute } from "./http/route.ts";

/** What every part of the plane may use. Parts know each other through this and through hooks, nothing else. */
export interface PlaneContext {
  readonly tenant: string;
  /** Folder for files of the plane; artifacts go below `artifacts/`. */
  readonly dataFolder: string;
  readonly clock: Clock;
  /** Rollouts need a second person. */
  readonly fourEyes: boolean;
  readonly logger: Logger;
  readonly store: Store;
  /** `createId("rol")` → an identifier as the protocol's `idSchema` admits it; ordered by time. */
  readonly createId: (prefix: string) => string;
  readonly sign: <Document extends SignableDocument>(document: Document) => Signed<Document>;
  /** PEM of the Ed25519 keys that devices trust. */
  readonly signingKeys: readonly string[];
  readonly audit: AuditLog;
  readonly refusals: Pick<RefusalAudit, "append" | "note">;
  readonly stream: StreamFeed;
  readonly desired: DesiredStates;
  readonly link: DeviceLink;
  readonly announcements: Announcements;
  readonly alerts: Alerts;
}

/** Who asks, and from where. */
export interface Asker {
  /** `<role>:<token id>`, `oidc:<issuer>#<subject>`, `device:<id>`, `plane:<controller>`, `anonymous`. */
  readonly actor: string;
  /** Address of the socket behind trusted proxies; `plane` for what the plane decides by itself. */
  readonly from: string;
}

export interface AuditRecord extends Asker {
  /** `<noun>.<verb>`, for instance `rollout.advance-stage`. */
  readonly action: string;
  readonly subject: string;
  readonly reason: string;
  /** What it was and what it is now, null where there was or is nothing; `change` is null for what was refused or only seen. */
  readonly change: { readonly before: unknown; readonly after: unknown } | null;
  readonly details?: AuditEntry["details"];
}
export interface AuditLog {
  /**
   * Seals the entry into the hash chain, in the transaction of the change that it tells. Its `details` are the record's,
   * with `before` and `after` of a change, and `from`.
   */
  append(tx: Transaction, record: AuditRecord): Promise<void>;
}

export interface StreamFeed {
  /** Stores the event for `/api/v1/events` and wakes the listeners after the commit. */
  emit(tx: Transaction, kind: StreamEvent["kind"], subject: string): Promise<void>;
}

/** What people and programs outside are told of. */
export interface Announcement {
  readonly type: WebhookEvent;
  /** Id of the alert, rollout or remediation. */
  readonly subject: string;
  /** Leaves the plane: no secret, no address, nothing of unbounded length. */
  readonly data: Readonly<Record<string, unknown>>;
}
export interface Announcements {
  /** Queued with the change that it tells of, in its transaction; delivered after the commit, at least once. */
  announce(tx: Transaction, announcement: Announcement): Promise<void>;
}

export interface DesiredStates {
  /**
   * Replaces the named slots of one device (others stay), grows its generation, signs the whole document and
   * publishes it after the commit. `release: null` empties the slot. Nothing happens when nothing differs.
   * @returns the generation that holds now
   */
  setSlots(tx: Transaction, device: string, slots: readonly DesiredSlot[]): Promise<number>;
}

export interface DeviceLink {
  /** True while the device's session is up. */
  isConnected(device: string): boolean;
  /** Hands one message to the broker at QoS 1. The broker is a pipe: keep what must not be lost in the store. */
  publish(topic: Topic, payload: unknown, options?: { readonly retain?: boolean }): Promise<void>;
  /** Takes the retained message of the topic from the broker. */
  clearRetained(topic: Topic): Promise<void>;
}

/** Whose message it is, and from which address it came. */
export interface Sender {
  readonly device: string;
  readonly from: string;
}

/**
 * Called by ingest inside the transaction that stores the message, once per message (redelivery calls nothing).
 * Keep them short: store what is needed, wake a controller in `tx.afterCommit`.
 */
export interface DeviceHooks {
  readonly onBirth?: (tx: Transaction, device: string, birth: Birth) => Promise<void>;
  readonly onReported?: (tx: Transaction, device: string, reported: Reported) => Promise<void>;
  readonly onEvidence?: (tx: Transaction, device: string, evidence: Evidence) => Promise<void>;
  readonly onEvent?: (tx: Transaction, sender: Sender, event: EventData) => Promise<void>;
  readonly onTelemetry?: (tx: Transaction, windows: readonly TelemetryWindow[]) => Promise<void>;
  readonly onReply?: (tx: Transaction, sender: Sender, reply: ReplyMessage) => Promise<void>;
  /** Online, offline, enrolled, quarantined, labels changed, integrity changed. */
  readonly onDeviceChanged?: (tx: Transaction, device: string) => Promise<void>;
}

/** One part of the plane: routes, hooks and a life. `start` runs after the store is open and before the broker listens. */
export interface PlaneModule extends Service {
  readonly routes: readonly AnyRoute[];
  readonly hooks: DeviceHooks;
}
