import { CodedError, type Clock } from "@fairlead/kernel";
import type { AcceptConfigurationRequest, ChangedFile, HttpErrorCode } from "@fairlead/protocol";
import type { Store } from "@fairlead/store";
import type { Scope } from "../authority/scope.ts";
import type { CommandOutbox } from "../commands/command-outbox.ts";
import type { Asker, AuditLog, DeviceHooks, StreamFeed } from "../context.ts";
import { requireMatch } from "../http/middleware/preconditions.ts";
import { acceptChanges, listChangedConfiguration } from "./changed-configuration.ts";
import { requireDevice } from "./require-device.ts";

/** How long the device has to measure anew; one that is away says it with its next evidence. */
const measureMs = 60_000;

export interface AcceptConfigurationOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly audit: AuditLog;
  readonly stream: StreamFeed;
  readonly commands: Pick<CommandOutbox, "issue">;
  readonly hooks: () => readonly DeviceHooks[];
}

export interface AcceptRequest extends Asker, AcceptConfigurationRequest {
  /** `If-Match` holds for the request. */
  readonly headers: Headers;
  /** Which devices the caller may touch. */
  readonly scope: Scope;
}

const toDigests = (changes: readonly ChangedFile[], side: "before" | "after"): Record<string, string | null> =>
  Object.fromEntries(changes.map((change) => [change.name, change[side]]));

/** Which of the changes are asked for, exactly as they were read. @throws CodedError `conflict` */
function pick(changes: readonly ChangedFile[], files: AcceptConfigurationRequest["files"]): readonly ChangedFile[] {
  return files.map(({ name, digest }) => {
    const found = changes.find((change) => change.name === name);
    if (found !== undefined && found.after === digest) return found;
    throw new CodedError<HttpErrorCode>(
      "conflict",
      found === undefined
        ? `${name} is no configuration file that changed since it was accepted`
        : `${name} is another one by now: ${found.after ?? "it is gone"}`,
      { hint: "read the device again; changes to models, to the agent and to its identity are never accepted" },
    );
  });
}

/**
 * Makes the present measurement of a device's configuration what is expected of it. Nothing is believed by this: the
 * device is asked to measure anew, and its evidence is what ends the quarantine and the alert, as after any repair.
 * @throws CodedError `not_found` · `conflict` · `precondition_failed`
 */
export function createAcceptConfiguration(options: AcceptConfigurationOptions) {
  const { audit, clock, commands, store, stream } = options;
  return (name: string, { files, reason, actor, from, headers, scope }: AcceptRequest): Promise<void> =>
    store.transaction(async (tx) => {
      const device = await requireDevice(tx, name, scope);
      requireMatch(headers, String(device.revision));
      const changes = pick(listChangedConfiguration(device), files);
      const isThere = device.lifecycle === "enrolled" || device.lifecycle === "quarantined";
      if (device.fileBaseline === null || !isThere)
        throw new CodedError<HttpErrorCode>("conflict", `${name} is ${device.lifecycle}: nothing is expected of it`);
      const revision = device.revision + 1;
      await tx.devices.update(name, { fileBaseline: acceptChanges(device.fileBaseline, changes), revision });
      await audit.append(tx, {
        ...{ actor, from, action: "device.accept-configuration", subject: name, reason },
        change: { before: toDigests(changes, "before"), after: toDigests(changes, "after") },
      });
      const deadlineAtMs = clock.nowMs() + measureMs;
      await commands.issue(tx, { device: name, action: { kind: "measure" }, deadlineAtMs, remediationId: null });
      await stream.emit(tx, "device", name);
      for (const hooks of options.hooks()) await hooks.onDeviceChanged?.(tx, name);
    });
}
