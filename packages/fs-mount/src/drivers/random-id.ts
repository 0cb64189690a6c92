import { randomUUID } from 'node:crypto';

/** A text that nobody else has or guesses. */
export function randomId(): string {
  return randomUUID();
}
