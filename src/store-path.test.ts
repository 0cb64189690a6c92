import t from 'tap';
import { parseLocation } from './store-path.js';
import { UsageError } from './usage-error.js';

t.test('places are in the store, local, or the standard streams', async (t) => {
  t.same(parseLocation('st:'), { type: 'store', bucket: undefined, key: '', text: 'st:' });
  t.match(parseLocation('st:docs'), { bucket: 'docs', key: '' });
  t.match(parseLocation('st:docs/'), { bucket: 'docs', key: '' });
  t.match(parseLocation('st:docs/a//b/'), { bucket: 'docs', key: 'a//b/' });
  t.match(parseLocation('./st:docs'), { type: 'local', path: './st:docs' });
  t.match(parseLocation('-'), { type: 'stream' });
});

t.test('what names nothing is refused with what to write', async (t) => {
  for (const [text, pattern] of [
    ['', /a path is empty/],
    ['s3://docs/x', /is no place; a place in the store is written st:BUCKET\/KEY/],
    ['stampede://docs/x', /is no place/],
    ['st://docs/x', /write st:docs\/x, without a slash after st:/],
    ['st:/docs/x', /write st:docs\/x, without a slash after st:/],
    ['st:Docs', /"Docs" is no bucket name/],
    ['st:a', /it has 3 to 63/],
    [`st:docs/${'é'.repeat(600)}`, /at most 1024 bytes/],
    ['st:docs/\ud800', /well-formed Unicode/]
  ] as const) {
    t.throws(() => parseLocation(text), pattern);
    t.throws(() => parseLocation(text), UsageError);
  }
});
