import { lookup } from "node:dns/promises";
import { toErrorCode, toErrorMessage } from "@fairlead/kernel";
import { judgeAddress, type AddressPolicy } from "./address-policy.ts";
import { EgressError } from "./errors.ts";
import type { Target } from "./target.ts";

/** A name → its numeric addresses, best first. Called once per request. */
export type Resolve = (name: string) => Promise<readonly string[]>;

export interface CheckedAddress {
  readonly address: string;
  readonly family: 4 | 6;
}

const maxAddresses = 32;

/** The system's resolver: hosts file, search order and cache as everywhere else on this machine. */
export const resolveBySystem: Resolve = async (name) => {
  const found = await lookup(name, { all: true, order: "verbatim" });
  return found.map(({ address }) => address);
};

async function resolveName(name: string, resolve: Resolve): Promise<readonly string[]> {
  try {
    return await resolve(name);
  } catch (error) {
    const why = toErrorCode(error) ?? toErrorMessage(error);
    throw new EgressError("name_unresolved", `${name} has no address: ${why}`, { cause: error });
  }
}

/**
 * The addresses to connect to, judged. One refused address among many refuses the name: whoever answers both a public and a
 * private address wants one of them to be taken by mistake.
 * @throws EgressError `name_unresolved` · `address_refused`
 */
export async function resolveChecked(
  target: Target,
  policy: AddressPolicy,
  resolve: Resolve,
): Promise<readonly CheckedAddress[]> {
  const addresses = target.isAddress ? [target.host] : await resolveName(target.host, resolve);
  if (addresses.length === 0 || addresses.length > maxAddresses) {
    throw new EgressError("name_unresolved", `${target.host} has ${addresses.length} addresses`);
  }
  return addresses.map((address) => {
    const verdict = judgeAddress(address, policy);
    if (verdict.kind === "allowed") return { address: verdict.address, family: verdict.family };
    throw new EgressError("address_refused", `${target.host} is not connected to: its address is ${verdict.why}`, {
      hint: "only who runs this program can allow an address: see its configuration",
      details: { host: target.host, why: verdict.why },
    });
  });
}
