import { toAddressBlock } from "@fairlead/kernel";

export interface AddressCap {
  /** A function that gives the place back, or undefined when the address, or everybody together, has all that there is. */
  take(address: string): (() => void) | undefined;
  readonly taken: number;
}

export function createAddressCap(options: { readonly inAll: number; readonly perAddress: number }): AddressCap {
  const counts = new Map<string, number>();
  let taken = 0;
  return {
    get taken() {
      return taken;
    },
    take(address) {
      const block = toAddressBlock(address);
      const count = counts.get(block) ?? 0;
      if (count >= options.perAddress || taken >= options.inAll) return undefined;
      counts.set(block, count + 1);
      taken += 1;
      let released = false;
      return () => {
        if (released) return;
        released = true;
        taken -= 1;
        const left = (counts.get(block) ?? 1) - 1;
        if (left === 0) counts.delete(block);
        else counts.set(block, left);
      };
    },
  };
}
