import type { Repositories } from "@fairlead/store";

/** Who has the token that was printed at the start: whoever owns the plane's machine. */
export const machineOwner = "owner";

/**
 * Who stands behind an actor as the audit log names it: the issuer's person, or the person whose token it is.
 * undefined: there is no such token.
 */
export async function findPerson(from: Pick<Repositories, "adminTokens">, actor: string): Promise<string | undefined> {
  if (actor.startsWith("oidc:")) return actor;
  return (await from.adminTokens.get(actor.slice(actor.indexOf(":") + 1)))?.person;
}

/** Two spellings in small and capital letters are one person, and who is not known is no second one. */
export function areTwoPeople(first: string | undefined, second: string | undefined): boolean {
  if (first === undefined || second === undefined) return false;
  return first.toLowerCase() !== second.toLowerCase();
}
