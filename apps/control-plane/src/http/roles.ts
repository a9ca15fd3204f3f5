import { CodedError } from "@fairlead/kernel";
import type { HttpErrorCode, Role } from "@fairlead/protocol";
import type { Caller, Permission } from "./route.ts";

/** What each role may. Whoever may change something may also see it. */
const permissionsByRole: Record<Role, readonly Permission[]> = {
  viewer: ["read"],
  operator: ["read", "operate"],
  publisher: ["read", "publish"],
  approver: ["read", "approve"],
  admin: ["read", "operate", "publish", "approve", "administer"],
};

export function mayCall(role: Role, permission: Permission): boolean {
  const own = permissionsByRole[role];
  if (permission === "operate-or-approve") return own.includes("operate") || own.includes("approve");
  return own.includes(permission === "read-or-device" ? "read" : permission);
}

/** For a route whose body decides what its caller must be allowed. @throws CodedError `forbidden` */
export function requirePermission(caller: Caller, actor: string, permission: "operate" | "approve"): void {
  if ("role" in caller && mayCall(caller.role, permission)) return;
  const who = "role" in caller ? caller.role : caller.kind;
  throw new CodedError<HttpErrorCode>("forbidden", `a ${who} may not do this: it needs the permission ${permission}`, {
    hint: "ask an administrator for a token of a role that has it: fairlead tokens create --role ROLE",
    details: { actor },
  });
}
