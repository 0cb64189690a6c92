export interface TransferPoolOptions<Item> {
  readonly workersMax: number;
  /** Most bytes of buffers that the items under way may need together. */
  readonly bytesMax: number;
  readonly bytesOf: (item: Item) => number;
  readonly signal: AbortSignal;
  /** What it throws ends the pool; what concerns one item alone it handles itself. */
  readonly run: (item: Item) => Promise<void>;
}

/** Runs one after the other as many at once as the bounds allow, and takes the next item only when it may start. */
export async function runTransfers<Item>(
  items: AsyncIterable<Item>,
  { workersMax, bytesMax, bytesOf, signal, run }: TransferPoolOptions<Item>
): Promise<void> {
  const running = new Set<Promise<void>>();
  let bytes = 0;
  const failures: unknown[] = [];
  const start = (item: Item) => {
    const needed = Math.min(bytesOf(item), bytesMax);
    bytes += needed;
    const task: Promise<void> = run(item)
      .catch((error: unknown) => {
        failures.push(error);
      })
      .finally(() => {
        running.delete(task);
        bytes -= needed;
      });
    running.add(task);
  };
  try {
    for await (const item of items) {
      const isFull = () =>
        running.size >= workersMax ||
        (running.size > 0 && bytes + Math.min(bytesOf(item), bytesMax) > bytesMax);
      while (isFull()) await Promise.race(running);
      signal.throwIfAborted();
      if (failures.length > 0) break;
      start(item);
    }
  } finally {
    await Promise.all(running);
  }
  if (failures.length > 0) throw failures[0];
}
