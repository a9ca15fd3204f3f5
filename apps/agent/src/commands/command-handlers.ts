import { hasErrorCode, toErrorCode, toErrorMessage } from "@fairlead/kernel";
import type { CommandAction, ReplyMessage } from "@fairlead/protocol";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import type { IntegrityService } from "../integrity/integrity-service.ts";
import type { ArtifactKeeper } from "../models/artifact-keeper.ts";
import type { SlotEngine } from "../models/slot-engine.ts";
import { toKeptDigests, toServingTarget, toWayBack } from "../models/slot-record.ts";
import type { Slots } from "../models/slots.ts";
import type { ServingHost } from "../serving/serving-host.ts";
import type { AgentTrust } from "../trust/open-trust.ts";

export type Outcome = Pick<ReplyMessage, "outcome" | "code" | "reason">;

export interface CommandServices {
  readonly slots: Pick<Slots, "get">;
  readonly serving: Pick<ServingHost, "ready" | "restart" | "pid">;
  readonly keeper: Pick<ArtifactKeeper, "fetch">;
  readonly judgeWayBack: AgentTrust["judgeWayBack"];
  readonly integrity: Pick<IntegrityService, "measureNow">;
  /** Notes that this device is to become empty, and has the agent end for it. */
  readonly beginWipe: () => void;
}

type Action<Kind extends CommandAction["kind"]> = Extract<CommandAction, { kind: Kind }>;
export type CommandHandlers = {
  readonly [Kind in CommandAction["kind"]]: (action: Action<Kind>, signal: AbortSignal) => Promise<Outcome>;
};

const done: Outcome = { outcome: "done", code: null, reason: null };
const fail = (code: string, reason: string): Outcome => ({ outcome: "failed", code, reason: reason.slice(0, 500) });

async function until(question: () => boolean, signal: AbortSignal): Promise<boolean> {
  while (!question()) {
    if (signal.aborted) return false;
    await delay(20);
  }
  return true;
}

/** What each command does; a kind without a handler does not compile. Every handler may run twice. */
export function createCommandHandlers(services: CommandServices): CommandHandlers {
  const { slots, serving, keeper, judgeWayBack, integrity, beginWipe } = services;
  const withSlot = async (name: string, work: (engine: SlotEngine) => Promise<Outcome>): Promise<Outcome> => {
    const engine = slots.get(name);
    return engine === undefined ? fail("slot_unknown", `this device has no slot ${name}`) : work(engine);
  };
  return {
    "stop-serving": ({ slot, reason }, signal) =>
      withSlot(slot, async (engine) => {
        engine.apply({ kind: "stopped", reason: reason === "" ? "stopped by command" : reason });
        engine.wake();
        const stopped = await until(() => engine.view.served === null || !serving.ready, signal);
        return stopped ? done : fail("timeout", "the slot still serves");
      }),
    "repair-artifact": ({ slot, artifact }, signal) =>
      withSlot(slot, async (engine) => {
        if (!toKeptDigests(engine.record).includes(artifact.digest))
          return fail("artifact_unknown", `slot ${slot} does not use ${artifact.digest}`);
        await keeper.fetch(artifact, { signal, onProgress: () => undefined });
        engine.apply({ kind: "repaired", digest: artifact.digest });
        engine.wake();
        await integrity.measureNow("command");
        const served = await until(() => {
          const target = toServingTarget(engine.record);
          return target === null || engine.view.served?.artifact.digest === target.artifact.digest;
        }, signal);
        return served ? done : fail("not_serving", engine.view.trouble ?? "the repaired build does not serve yet");
      }),
    measure: async () => {
      await integrity.measureNow("command");
      return done;
    },
    revert: ({ slot, buildDigest, reason }, signal) =>
      withSlot(slot, async (engine) => {
        // A new desired state may have taken the build away before this command came: going back twice is coming back.
        if (engine.record.active !== null && engine.record.active.artifact.digest !== buildDigest) return done;
        const before = engine.view.served?.artifact.digest;
        const wayBack = toWayBack(engine.record);
        const refusal = wayBack === null ? null : await judgeWayBack(wayBack);
        if (refusal !== null) return { outcome: "refused", ...refusal };
        // Another build may have come while the question was open: it was not asked about.
        if (toWayBack(engine.record)?.releaseId !== wayBack?.releaseId)
          return fail("superseded", `slot ${slot} has changed meanwhile`);
        if (!engine.fallBack(reason === "" ? "reverted by command" : reason))
          return fail("nothing_to_revert_to", `slot ${slot} has no previous build`);
        engine.wake();
        const changed = await until(() => {
          const now = engine.view.served?.artifact.digest;
          return now !== undefined && now !== before;
        }, signal);
        return changed ? done : fail("not_serving", engine.view.trouble ?? "the previous build does not serve yet");
      }),
    decommission: async (_action, signal) => {
      beginWipe();
      // The answer is not a reply, since the outbox goes too: the plane is told when everything is gone.
      if (!signal.aborted) await once(signal, "abort");
      return fail("interrupted", "the agent ended before it was empty");
    },
    "restart-serving": async (_action, signal) => {
      const before = serving.pid;
      serving.restart();
      const again = await until(() => serving.ready && serving.pid !== before, signal);
      return again ? done : fail("not_ready", "the serving process is not ready again");
    },
  };
}

export async function runCommand(
  handlers: CommandHandlers,
  action: CommandAction,
  signal: AbortSignal,
): Promise<Outcome> {
  // The table pairs every kind with its own handler; the compiler cannot follow an index that is a union.
  const handler = handlers[action.kind] as (action: CommandAction, signal: AbortSignal) => Promise<Outcome>;
  try {
    return await handler(action, signal);
  } catch (error) {
    const code = hasErrorCode(error, "download_canceled") ? "timeout" : (toErrorCode(error) ?? "failed");
    return fail(code.slice(0, 64), toErrorMessage(error));
  }
}
