export interface AddressCap {
  /** A function that gives the place back, or undefined when the address has all that it may have. */
  take(address: string): (() => void) | undefined;
}

export function createAddressCap(max: number): AddressCap {
  const counts = new Map<string, number>();
  return {
    take(address) {
      const count = counts.get(address) ?? 0;
      if (count >= max) return undefined;
      counts.set(address, count + 1);
      let released = false;
      return () => {
        if (released) return;
        released = true;
        const left = (counts.get(address) ?? 1) - 1;
        if (left === 0) counts.delete(address);
        else counts.set(address, left);
      };
    },
  };
}
