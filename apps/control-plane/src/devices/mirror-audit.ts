import type { AuditEntry, EventData } from "@fairlead/protocol";
import type { AuditLog, DeviceHooks } from "../context.ts";

const action = "device.mirror-set-aside";
const windowMs = 3_600_000;
/** Most entries of one device in an hour: it may say what it likes, and must not fill the log. */
const maxPerWindow = 20;
/** How many of a device's newest entries are looked at. */
const looked = 100;

type SetAside = Extract<EventData, { kind: "mirror-set-aside" }>;

/** Whether a device's word about a mirror is news: the same one for the same reason is told once an hour. */
export function isNews(
  { mirror, code }: Pick<SetAside, "mirror" | "code">,
  lately: readonly Pick<AuditEntry, "action" | "tsMs" | "details">[],
  nowMs: number,
): boolean {
  const told = lately.filter((entry) => entry.action === action && entry.tsMs > nowMs - windowMs);
  if (told.length >= maxPerWindow) return false;
  return !told.some(({ details }) => details["mirror"] === mirror && details["code"] === code);
}

/** Writes down which mirror a device refused and why: what it was sent there, nobody else sees. */
export function createMirrorAudit(options: {
  readonly audit: AuditLog;
  readonly clock: { readonly nowMs: () => number };
}): DeviceHooks {
  return {
    onEvent: async (tx, { device, from }, event) => {
      if (event.kind !== "mirror-set-aside") return;
      const { mirror, code, reason, forMs } = event;
      if (!isNews(event, await tx.audit.list({ subject: device, limit: looked }), options.clock.nowMs())) return;
      const details = { mirror, code, forMs };
      await options.audit.append(tx, {
        ...{ actor: `device:${device}`, from, action, subject: device, reason, details },
        change: null,
      });
    },
  };
}
