import type { Clock, Logger } from "@fairlead/kernel";
import type { RemediationConfig } from "@fairlead/remediation";
import type { Store } from "@fairlead/store";
import type { Alerts } from "../alerts/alerts.ts";
import type { CommandOutbox } from "../commands/command-outbox.ts";
import type { Announcements, AuditLog, DesiredStates, StreamFeed } from "../context.ts";

/** All that the remediation controller needs of the plane. */
export interface RemediationPorts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly store: Store;
  readonly audit: AuditLog;
  readonly stream: StreamFeed;
  readonly desired: DesiredStates;
  readonly announcements: Announcements;
  readonly alerts: Pick<Alerts, "fire" | "resolve">;
  readonly commands: Pick<CommandOutbox, "issue">;
  readonly config: RemediationConfig;
  readonly createId: (prefix: string) => string;
  /** Called after a device's lifecycle changed, inside the transaction. */
  readonly onDeviceChanged: (device: string) => void;
}
