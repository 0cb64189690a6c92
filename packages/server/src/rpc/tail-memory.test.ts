import t from 'tap';
import { TailMemory } from './tail-memory.js';

t.test('gives enough memory, and the same again when it was given back', async (t) => {
  const memory = new TailMemory(1024 * 1024);
  const piece = memory.take(100_000);
  t.ok(piece.length >= 100_000);
  t.not(memory.take(100_000), piece);
  memory.give(piece);
  t.equal(memory.take(120_000), piece);
  t.equal(memory.take(0).length, 0);
  for (const length of [1, 4096, 4097, 8 * 1024 * 1024]) t.ok(memory.take(length).length >= length);
});

t.test('keeps no more than it may', async (t) => {
  const memory = new TailMemory(100_000);
  const small = memory.take(65_536);
  const other = memory.take(65_536);
  memory.give(small);
  memory.give(other);
  t.equal(memory.take(65_536), small);
  t.not(memory.take(65_536), other);
});
