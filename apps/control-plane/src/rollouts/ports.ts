import type { Clock, Logger } from "@fairlead/kernel";
import type { Store } from "@fairlead/store";
import type { Vouching } from "../trust/vouching.ts";
import type { Announcements, AuditLog, DesiredStates, StreamFeed } from "../context.ts";

/** All that the rollout controller needs of the plane. */
export interface RolloutPorts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly store: Store;
  readonly audit: AuditLog;
  readonly stream: StreamFeed;
  readonly desired: DesiredStates;
  readonly vouching: Vouching;
  /** A rollout begins, and passes a stage by hand, only when somebody else than its creator says so. */
  readonly fourEyes: boolean;
  readonly announcements: Announcements;
  readonly createId: (prefix: string) => string;
}
