import { defaultRemediationConfig } from "@fairlead/remediation";
import type { CommandOutbox } from "../commands/command-outbox.ts";
import type { PlaneContext, PlaneModule } from "../context.ts";
import { createRemediationRoutes } from "../http/routes/remediations.ts";
import { createRemediationController } from "./controller.ts";

export interface RemediationModuleOptions {
  readonly commands: CommandOutbox;
  /** Tells the other controllers that a device went into or out of quarantine. */
  readonly onDeviceChanged: (device: string) => void;
}

export function createRemediationModule(context: PlaneContext, options: RemediationModuleOptions): PlaneModule {
  const controller = createRemediationController({ ...context, ...options, config: defaultRemediationConfig });
  const wake = async (tx: { afterCommit(hook: () => void): void }) => tx.afterCommit(() => controller.wake());
  return {
    name: "remediation",
    routes: createRemediationRoutes(context.store),
    hooks: { onEvidence: wake, onEvent: wake, onReply: wake, onReported: wake, onDeviceChanged: wake },
    start: async () => controller.start(),
    stop: () => controller.stop(),
  };
}
