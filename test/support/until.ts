import { setTimeout as sleep } from 'node:timers/promises';

const PAUSE_MS = 100;
/** Not what is tested: only so that a test that cannot end says where it stands. */
const TIMEOUT_MS = 90_000;

/** Asks again and again until the answer is neither false nor undefined; an error counts as no answer. */
export async function until<Answer>(
  ask: () => Promise<Answer>,
  { timeoutMs = TIMEOUT_MS }: { readonly timeoutMs?: number } = {}
): Promise<Answer> {
  const endMs = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    const answer = await ask().catch((error: unknown) => {
      last = error;
      return undefined;
    });
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > endMs) throw new Error(`it never came: ${ask}`, { cause: last });
    await sleep(PAUSE_MS);
  }
}
