import t from 'tap';
import { formatSize, parseSize } from './size.js';

t.test('sizes are read in powers of 1024, or of 1000 with a B alone', async (t) => {
  for (const [text, bytes] of [
    ['0', 0],
    ['4096', 4096],
    ['12B', 12],
    ['1k', 1024],
    ['1.5GiB', 1.5 * 2 ** 30],
    ['64M', 64 * 2 ** 20],
    ['64mib', 64 * 2 ** 20],
    ['10MB', 10_000_000],
    ['.5Ti', 2 ** 39],
    [' 1k ', 1024]
  ] as const)
    t.equal(parseSize(text), bytes, text);
});

t.test('what is no size is refused', async (t) => {
  for (const text of ['', 'k', '-1', '1e3', '1iB', '1kk', '0x10', '9999999P', 'NaN'])
    t.throws(() => parseSize(text), /is no size; write for example/, text);
});

t.test('sizes are shown with three digits', async (t) => {
  for (const [bytes, text] of [
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.00 KiB'],
    [10 * 1024, '10.0 KiB'],
    [1023.9 * 1024, '1.00 MiB'],
    [150 * 2 ** 20, '150 MiB'],
    [1.5 * 2 ** 40, '1.50 TiB']
  ] as const)
    t.equal(formatSize(bytes), text);
});
