/** What to do when a signal aborts. The signal itself has one listener however many calls share it. */
const callbacks = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Runs `callback` when the signal aborts, until the returned function is called. Adding and removing costs the same
 * however many there are; listeners of a signal are searched one by one, and it warns of more than ten.
 */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  const all = callbacks.get(signal) ?? listenTo(signal);
  all.add(callback);
  return () => {
    all.delete(callback);
  };
}

function listenTo(signal: AbortSignal): Set<() => void> {
  const all = new Set<() => void>();
  callbacks.set(signal, all);
  // It stays for as long as there is a signal, which saves the next call from adding it again.
  signal.addEventListener(
    'abort',
    () => {
      for (const callback of [...all]) callback();
    },
    { once: true }
  );
  return all;
}
