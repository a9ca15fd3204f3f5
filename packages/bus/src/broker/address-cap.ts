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
      const count = counts.get(address) ?? 0;
      if (count >= options.perAddress || taken >= options.inAll) return undefined;
      counts.set(address, count + 1);
      taken += 1;
      let released = false;
      return () => {
        if (released) return;
        released = true;
        taken -= 1;
        const left = (counts.get(address) ?? 1) - 1;
        if (left === 0) counts.delete(address);
        else counts.set(address, left);
      };
    },
  };
}
