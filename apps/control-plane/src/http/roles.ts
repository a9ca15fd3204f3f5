import type { Role } from "@fairlead/protocol";
import type { Permission } from "./route.ts";

/** What each role may. Whoever may change something may also see it. */
const permissionsByRole: Record<Role, readonly Permission[]> = {
  viewer: ["read"],
  operator: ["read", "operate"],
  publisher: ["read", "publish"],
  approver: ["read", "approve"],
  admin: ["read", "operate", "publish", "approve", "administer"],
};

export function mayCall(role: Role, permission: Permission): boolean {
  const needed = permission === "read-or-device" ? "read" : permission;
  return permissionsByRole[role].includes(needed);
}
