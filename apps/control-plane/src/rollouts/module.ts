import type { PlaneContext, PlaneModule } from "../context.ts";
import { createAcceptanceRoute } from "../http/routes/acceptances.ts";
import { createRolloutRoutes } from "../http/routes/rollouts.ts";
import type { Vouching } from "../trust/vouching.ts";
import { createRolloutController } from "./controller.ts";
import { createRolloutService } from "./service.ts";

export interface RolloutModule extends PlaneModule {
  wake(): void;
}

export function createRolloutModule(context: PlaneContext, vouching: Vouching): RolloutModule {
  const ports = { ...context, vouching };
  const controller = createRolloutController(ports);
  const service = createRolloutService(ports, () => controller.wake());
  return {
    name: "rollouts",
    routes: [...createRolloutRoutes(service, context.store), createAcceptanceRoute(context)],
    hooks: {
      onReported: async (tx) => tx.afterCommit(() => controller.wake()),
      onDeviceChanged: async (tx) => tx.afterCommit(() => controller.wake()),
    },
    wake: () => controller.wake(),
    start: async () => controller.start(),
    stop: () => controller.stop(),
  };
}
