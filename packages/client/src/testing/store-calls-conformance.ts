import { attributes } from './conformance/attributes.js';
import { badInput } from './conformance/bad-input.js';
import { buckets } from './conformance/buckets.js';
import { conditions } from './conformance/conditions.js';
import { edits } from './conformance/edits.js';
import { type ConformanceStore, type ConformanceTest, Fixture, type Section } from './conformance/fixture.js';
import { holes } from './conformance/holes.js';
import { lists } from './conformance/lists.js';
import { locks } from './conformance/locks.js';
import { moves } from './conformance/moves.js';
import { puts } from './conformance/puts.js';
import { ranges } from './conformance/ranges.js';
import { repeats } from './conformance/repeats.js';
import { uploads } from './conformance/uploads.js';
import { watches } from './conformance/watches.js';

const SECTIONS: Readonly<Record<string, Section>> = {
  puts,
  ranges,
  conditions,
  lists,
  edits,
  holes,
  moves,
  attributes,
  uploads,
  repeats,
  buckets,
  watches,
  locks,
  'bad input': badInput
};

export type StoreCallsSection =
  | 'puts'
  | 'ranges'
  | 'conditions'
  | 'lists'
  | 'edits'
  | 'holes'
  | 'moves'
  | 'attributes'
  | 'uploads'
  | 'repeats'
  | 'buckets'
  | 'watches'
  | 'locks'
  | 'bad input';

export interface StoreCallsConformanceOptions {
  /** Only these sections. Default: all. */
  readonly sections?: readonly StoreCallsSection[];
  /** Part of the names of the buckets, for a store that is not empty: lower-case letters and digits. */
  readonly run?: string;
}

/**
 * The executable meaning of the calls of a store: every implementation passes it, over whatever transport.
 *
 * @param t        A tap test.
 * @param create   Makes the store; it is disposed at the end.
 */
export async function storeCallsConformance(
  t: ConformanceTest,
  create: () => Promise<ConformanceStore>,
  options: StoreCallsConformanceOptions = {}
): Promise<void> {
  await using store = await create();
  const fixture = new Fixture(store.calls, options.run ?? '1');
  for (const [name, section] of Object.entries(SECTIONS)) {
    if (options.sections && !(options.sections as readonly string[]).includes(name)) continue;
    await t.test(name, (t) => section(t, fixture));
  }
}
