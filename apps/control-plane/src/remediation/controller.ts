import { setImmediate } from "node:timers/promises";
import { toErrorMessage } from "@fairlead/kernel";
import { applyAction, decide, type Action, type RemediationCase } from "@fairlead/remediation";
import type { RemediationRow, Repositories, Transaction } from "@fairlead/store";
import { toOwnDecision } from "../audit/own-decision.ts";
import { createReconcileLoop, type ReconcileLoop } from "../reconcile-loop.ts";
import { doInTurns, maxPerRound } from "../round.ts";
import { execute } from "./executors.ts";
import { loadObservations } from "./observe.ts";
import type { RemediationPorts } from "./ports.ts";
import { DeviceTrouble, SetAside, toDeviceTrouble } from "./set-aside.ts";

const tickMs = 1_000;
/** A case is opened in one round and worked on in the next; more than this in one turn waits for the next tick. */
const maxRounds = 8;
/** How long a device that remediation cannot deal with waits for the next attempt, which costs a look at the whole fleet. */
const asideMs = 60_000;

export function remediationSubject(remediationId: string): string {
  return `remediation:${remediationId}`;
}

function toRow(current: RemediationCase): RemediationRow {
  const holds = current.quarantine === "held" || current.alert === "firing";
  const { remediationId, device, updatedAtMs } = current;
  return { remediationId, device, open: current.endedAtMs === null || holds, updatedAtMs, caseData: current };
}

function toStanding({ state, code, attempt, quarantine, alert }: RemediationCase) {
  return { state, code, attempt, quarantine, alert };
}

function toDetails(action: Action): Record<string, unknown> {
  const { kind: _kind, reason: _reason, ...details } = action;
  return details;
}

/** Their beginning, so that no device is left with half of what was decided for it. */
function takeWholeDevices(actions: readonly Action[], atMost: number): readonly Action[] {
  if (actions.length <= atMost) return actions;
  const last = actions[atMost - 1]?.device;
  const end = actions.findIndex(({ device }, index) => index >= atMost && device !== last);
  return end === -1 ? actions : actions.slice(0, end);
}

export function createRemediationController(ports: RemediationPorts, maxActions = maxPerRound): ReconcileLoop {
  const { audit, clock, config, store, stream } = ports;
  const listeningSinceMs = clock.nowMs();
  const setAside = new SetAside(asideMs);
  const memoryMs = Math.max(config.crashLoopWindowMs, ...config.rules.map(({ coolDownMs }) => coolDownMs));

  const perform = async (tx: Transaction, action: Action): Promise<void> => {
    const nowMs = clock.nowMs();
    const isNew = action.kind === "open-case" || action.kind === "suppress-case";
    const remediationId = isNew ? ports.createId("rem") : action.remediationId;
    const current = isNew ? null : ((await tx.remediations.get(remediationId))?.caseData ?? null);
    const made = await execute(action, { tx, ports });
    const next = applyAction(current, action, { nowMs, remediationId, ...made });
    await tx.remediations.save(toRow(next));
    await audit.append(tx, {
      ...toOwnDecision("remediation"),
      action: `remediation.${action.kind}`,
      subject: remediationSubject(remediationId),
      reason: action.reason,
      change: { before: current === null ? null : toStanding(current), after: toStanding(next) },
      details: { device: next.device, rule: next.rule, ...toDetails(action), ...made },
    });
    await stream.emit(tx, "remediation", remediationId);
  };

  const look = async (from: Repositories, nowMs: number): Promise<readonly Action[]> => {
    const cases = (await from.remediations.listOpenOrSince(nowMs - memoryMs)).map(({ caseData }) => caseData);
    const aside = setAside.list(nowMs);
    const { crashLoopCount: crashesPerBuild, crashLoopWindowMs } = config;
    const observations = await loadObservations(from, {
      ...{ aside, cases, crashesPerBuild, listeningSinceMs, crashesSinceMs: nowMs - crashLoopWindowMs },
    });
    return decide({ observations, cases, config, nowMs }).filter(({ device }) => !aside.has(device));
  };

  /** One round: observations, decisions, side effects and audit are one transaction. */
  const advance = (): Promise<boolean> =>
    store.transaction(async (tx) => {
      const actions = takeWholeDevices(await look(tx, clock.nowMs()), maxActions);
      await doInTurns(actions, (action) =>
        perform(tx, action).catch((error: unknown) => {
          throw toDeviceTrouble(action.device, error);
        }),
      );
      return actions.length > 0;
    });

  /** Mostly nothing is to be done. That is found out beside whoever writes, and what is to be done is decided anew among them. */
  const isDue = async (): Promise<boolean> => (await look(store.read, clock.nowMs())).length > 0;

  /** A round that one device fails is undone, and tried again without it: the others must not wait. */
  const without = async (round: () => Promise<boolean>): Promise<boolean> => {
    try {
      return await round();
    } catch (error) {
      if (!(error instanceof DeviceTrouble)) throw error;
      setAside.add(error.device, clock.nowMs());
      ports.logger.error("remediation sets a device aside and goes on with the others", {
        device: error.device,
        retryInMs: asideMs,
        error: toErrorMessage(error.cause),
      });
      return true;
    }
  };

  return createReconcileLoop({
    name: "remediation",
    everyMs: tickMs,
    logger: ports.logger,
    run: async () => {
      if (!(await without(isDue))) return "nothing";
      for (let round = 0; round < maxRounds && (await without(advance)); round += 1) await setImmediate();
      return "work";
    },
  });
}
