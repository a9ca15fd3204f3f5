import type { AuditEntry, Labels } from "@fairlead/protocol";
import type { EnrolmentRow, Repositories, RolloutRow, StreamEventRow } from "@fairlead/store";
import { isInScope, isRolloutInScope, type Scope } from "./scope.ts";

/** Whether things of the plane lie in one caller's scope, as the store has it now. Short-lived: one per request or look. */
export interface ScopeView {
  hasDevice(device: string): Promise<boolean>;
  hasRollout(row: Pick<RolloutRow, "selector" | "record">): Promise<boolean>;
  hasEnrolment(row: Pick<EnrolmentRow, "device" | "labels">): Promise<boolean>;
  hasEntry(entry: AuditEntry): Promise<boolean>;
  hasEvent(event: Pick<StreamEventRow, "kind" | "subject">): Promise<boolean>;
}

type Readable = Pick<Repositories, "alerts" | "devices" | "enrolments" | "remediations" | "rollouts">;

const all = async (): Promise<boolean> => true;
const everything: ScopeView = { hasDevice: all, hasRollout: all, hasEnrolment: all, hasEntry: all, hasEvent: all };

const rolloutPrefix = "rollout:";
const remediationPrefix = "remediation:";

export function createScopeView(from: Readable, scope: Scope): ScopeView {
  if (scope.kind === "fleet") return everything;
  const known = new Map<string, Promise<boolean>>();
  let fleet: Promise<ReadonlyMap<string, Labels>> | undefined;
  const once = (key: string, ask: () => Promise<boolean>): Promise<boolean> => {
    const answer = known.get(key) ?? ask();
    known.set(key, answer);
    return answer;
  };
  const loadFleet = () =>
    (fleet ??= from.devices
      .listSelectable()
      .then((rows) => new Map(rows.map(({ device, labels }) => [device, labels]))));

  const hasDevice: ScopeView["hasDevice"] = (device) =>
    once(`device ${device}`, async () => {
      const [row] = await from.devices.listSelectableOf([device]);
      return row !== undefined && isInScope(scope, row.labels);
    });
  const hasRollout: ScopeView["hasRollout"] = async ({ selector, record }) =>
    isRolloutInScope(scope, { selector, devices: record.devices.map(({ device }) => device) }, await loadFleet());
  /** A request for a name that is taken concerns the device that has it too. */
  const hasEnrolment: ScopeView["hasEnrolment"] = async ({ device, labels }) => {
    const [row] = await from.devices.listSelectableOf([device]);
    return isInScope(scope, labels) && (row === undefined || isInScope(scope, row.labels));
  };
  const hasRolloutId = (rolloutId: string) =>
    once(`rollout ${rolloutId}`, async () => {
      const row = await from.rollouts.get(rolloutId);
      return row !== undefined && (await hasRollout(row));
    });
  const hasRemediationId = async (remediationId: string): Promise<boolean> => {
    const row = await from.remediations.get(remediationId);
    return row !== undefined && (await hasDevice(row.device));
  };
  /** What is about no device, or about something unknown, is not in anybody's part. */
  const hasEntry: ScopeView["hasEntry"] = async ({ action, subject }) => {
    if (subject.startsWith(rolloutPrefix)) return await hasRolloutId(subject.slice(rolloutPrefix.length));
    if (subject.startsWith(remediationPrefix)) return await hasRemediationId(subject.slice(remediationPrefix.length));
    return /^(?:device|command)\./u.test(action) && (await hasDevice(subject));
  };
  const hasEvent: ScopeView["hasEvent"] = async ({ kind, subject }) => {
    switch (kind) {
      case "device":
        return await hasDevice(subject);
      case "rollout":
        return await hasRolloutId(subject);
      case "remediation":
        return await hasRemediationId(subject);
      case "alert": {
        // An alert that ends is named by its case.
        const device = (await from.alerts.get(subject))?.device ?? null;
        return device === null ? await hasRemediationId(subject) : await hasDevice(device);
      }
      case "enrolment": {
        const row = await from.enrolments.get(subject);
        return row !== undefined && (await hasEnrolment(row));
      }
      case "model":
        return true;
      case "audit":
        return false;
    }
  };
  return { hasDevice, hasRollout, hasEnrolment, hasEntry, hasEvent };
}

const pageRows = 500;

/** The first `limit` items that are kept, read page by page. */
export async function listKept<Item>(
  limit: number,
  readPage: (limit: number, offset: number) => Promise<readonly Item[]>,
  isKept: (item: Item) => Promise<boolean>,
): Promise<Item[]> {
  const kept: Item[] = [];
  for (let offset = 0; ; offset += pageRows) {
    const page = await readPage(pageRows, offset);
    for (const item of page) {
      if (await isKept(item)) kept.push(item);
      if (kept.length === limit) return kept;
    }
    if (page.length < pageRows) return kept;
  }
}
