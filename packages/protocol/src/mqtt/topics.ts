import { CodedError } from "@fairlead/kernel";
import { deviceIdSchema, idSchema, tenantSchema } from "../ids.ts";

const upKinds = ["birth", "status", "telemetry", "event", "reported", "evidence"] as const;
const downKinds = ["desired", "ack", "challenge"] as const;

export type UpChannel = (typeof upKinds)[number];
export type DownChannel = (typeof downKinds)[number];

/** Every topic of the protocol. `tenant` and `device` are names, `commandId` an identifier; nothing else varies. */
export type Topic =
  | { readonly kind: "up"; readonly tenant: string; readonly device: string; readonly channel: UpChannel }
  | { readonly kind: "reply"; readonly tenant: string; readonly device: string; readonly commandId: string }
  | { readonly kind: "down"; readonly tenant: string; readonly device: string; readonly channel: DownChannel }
  | { readonly kind: "command"; readonly tenant: string; readonly device: string; readonly commandId: string }
  | { readonly kind: "host"; readonly tenant: string };

const root = "fairlead/v1";

function checked(schema: { safeParse(value: unknown): { success: boolean } }, value: string): string {
  if (!schema.safeParse(value).success) throw new CodedError("topic_invalid", `"${value}" cannot be part of a topic`);
  return value;
}

/** @throws CodedError `topic_invalid` when a name holds a separator, a wildcard or anything but its own alphabet */
export function toTopic(topic: Topic): string {
  const tenant = checked(tenantSchema, topic.tenant);
  if (topic.kind === "host") return `${root}/${tenant}/host`;
  const base = `${root}/${tenant}/${checked(deviceIdSchema, topic.device)}`;
  switch (topic.kind) {
    case "up":
      return `${base}/up/${topic.channel}`;
    case "reply":
      return `${base}/up/reply/${checked(idSchema, topic.commandId)}`;
    case "down":
      return `${base}/down/${topic.channel}`;
    case "command":
      return `${base}/down/command/${checked(idSchema, topic.commandId)}`;
  }
}

/** The inverse of `toTopic`; undefined for every text that it cannot have produced. */
export function parseTopic(text: string): Topic | undefined {
  const [fairlead, v1, tenant, device, direction, channel, id, ...rest] = text.split("/");
  if (`${fairlead}/${v1}` !== root || rest.length > 0 || !tenantSchema.safeParse(tenant).success) return undefined;
  if (tenant === undefined || device === undefined) return undefined;
  if (device === "host" && direction === undefined) return { kind: "host", tenant };
  if (!deviceIdSchema.safeParse(device).success || channel === undefined) return undefined;
  if (id !== undefined) {
    if (!idSchema.safeParse(id).success) return undefined;
    if (direction === "up" && channel === "reply") return { kind: "reply", tenant, device, commandId: id };
    if (direction === "down" && channel === "command") return { kind: "command", tenant, device, commandId: id };
    return undefined;
  }
  const up = upKinds.find((kind) => kind === channel);
  if (direction === "up" && up !== undefined) return { kind: "up", tenant, device, channel: up };
  const down = downKinds.find((kind) => kind === channel);
  if (direction === "down" && down !== undefined) return { kind: "down", tenant, device, channel: down };
  return undefined;
}

/** The filters that a device subscribes to, and the only ones that it may. */
export function toDeviceFilters(tenant: string, device: string): readonly string[] {
  const down = `${root}/${checked(tenantSchema, tenant)}/${checked(deviceIdSchema, device)}/down`;
  return [
    `${down}/desired`,
    `${down}/ack`,
    `${down}/challenge`,
    `${down}/command/+`,
    toTopic({ kind: "host", tenant }),
  ];
}

/**
 * What a device may do, as patterns for a broker that puts the name of the certificate for `name`: exactly what
 * `mayDevicePublish` and `toDeviceFilters` say.
 */
export function toDevicePatterns(
  tenant: string,
  name: string,
): { readonly publish: string[]; readonly subscribe: string[] } {
  const stand = "x";
  // A tenant may be called like the stand-in, so the whole beginning is replaced.
  const [before, after] = [`${root}/${tenant}/${stand}/`, `${root}/${tenant}/${name}/`];
  const replace = (topic: string) => (topic.startsWith(before) ? after + topic.slice(before.length) : topic);
  const up = upKinds.map((channel) => toTopic({ kind: "up", tenant, device: stand, channel }));
  return {
    publish: [...up, `${root}/${tenant}/${stand}/up/reply/+`].map(replace),
    subscribe: toDeviceFilters(tenant, stand).map(replace),
  };
}

/** The filter under which the plane receives everything that the devices of a tenant send. */
export function toPlaneFilter(tenant: string): string {
  return `${root}/${checked(tenantSchema, tenant)}/+/up/#`;
}

/** True when a device may publish to the topic: below its own `up/` and nowhere else. */
export function mayDevicePublish(identity: { tenant: string; device: string }, topic: string): boolean {
  const parsed = parseTopic(topic);
  if (parsed === undefined || (parsed.kind !== "up" && parsed.kind !== "reply")) return false;
  return parsed.tenant === identity.tenant && parsed.device === identity.device;
}
