import { CodedError } from "@fairlead/kernel";
import type { HttpErrorCode } from "@fairlead/protocol";
import type { Device, Repositories } from "@fairlead/store";
import { isInScope, type Scope } from "../authority/scope.ts";

/** What lies outside the caller's scope does not exist for it. @throws CodedError `not_found` */
export async function requireDevice(
  repositories: Pick<Repositories, "devices">,
  name: string,
  scope: Scope,
): Promise<Device> {
  const device = await repositories.devices.get(name);
  if (device !== undefined && isInScope(scope, device.labels)) return device;
  throw new CodedError<HttpErrorCode>("not_found", `no device ${name}`, { hint: "list them with GET /api/v1/devices" });
}
