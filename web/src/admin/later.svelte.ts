const PAUSE_MS = 250;

/** A value that is taken once it has not changed for a moment: what is typed into a filter. */
export function later<T>(read: () => T): { readonly value: T } {
  let value = $state(read());
  $effect(() => {
    const next = read();
    const timer = setTimeout(() => (value = next), PAUSE_MS);
    return () => clearTimeout(timer);
  });
  return {
    get value() {
      return value;
    },
  };
}
