import type { OperatorPolicy } from "@fairlead/inference/inspect";
import { createCommandOutbox, type CommandOutbox } from "./commands/command-outbox.ts";
import type { PlaneContext, PlaneModule } from "./context.ts";
import { createRegistry } from "./registry/create-registry.ts";
import { createRemediationModule } from "./remediation/module.ts";
import { createRolloutModule } from "./rollouts/module.ts";
import type { TrustModule } from "./trust/trust.ts";

/** The controllers and the registry, in the order in which they start. */
export function createModules(
  context: PlaneContext,
  trust: TrustModule,
  models: OperatorPolicy,
): { readonly modules: readonly PlaneModule[]; readonly commands: CommandOutbox } {
  const commands = createCommandOutbox(context);
  const rollouts = createRolloutModule(context, trust.vouching);
  const remediation = createRemediationModule(context, { commands, onDeviceChanged: () => rollouts.wake() });
  const registry = createRegistry(context, { operators: models });
  return { modules: [trust, registry, commands, rollouts, remediation], commands };
}
