import type { PlaneContext, PlaneModule } from "../context.ts";
import { createRolloutRoutes } from "../http/routes/rollouts.ts";
import { createRolloutController } from "./controller.ts";
import { createRolloutService } from "./service.ts";

export interface RolloutModule extends PlaneModule {
  wake(): void;
}

export function createRolloutModule(context: PlaneContext): RolloutModule {
  const controller = createRolloutController(context);
  const service = createRolloutService(context, () => controller.wake());
  return {
    name: "rollouts",
    routes: createRolloutRoutes(service, context.store),
    hooks: {
      onReported: async (tx) => tx.afterCommit(() => controller.wake()),
      onDeviceChanged: async (tx) => tx.afterCommit(() => controller.wake()),
    },
    wake: () => controller.wake(),
    start: async () => controller.start(),
    stop: () => controller.stop(),
  };
}
