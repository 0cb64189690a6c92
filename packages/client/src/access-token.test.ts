import { LIMITS, verifyToken } from '@stampede/server/api';
import t from 'tap';
import { accessToken } from './access-token.js';
import { TestClock } from './testing/test-clock.js';

t.test('a token is used until it is about to end, and always valid', async (t) => {
  const clock = new TestClock(1_800_000_000_000);
  const token = accessToken({ accessKey: 'key', secretKey: 'secret' }, clock);
  const findSecretKey = (accessKey: string) => (accessKey === 'key' ? 'secret' : undefined);
  const tokens = new Set<string>();
  const stepMs = 10_000;
  const stepCount = (3 * LIMITS.tokenLifetimeMsMax) / stepMs;
  for (let step = 0; step < stepCount; step++) {
    const current = await token();
    tokens.add(current);
    t.equal(await verifyToken(current, { nowMs: clock.nowMs(), findSecretKey }), 'key');
    t.notOk(current.includes('secret'));
    clock.advance(stepMs);
  }
  t.ok(tokens.size >= 9 && tokens.size <= 15, `${tokens.size} tokens in ${stepCount} calls`);
  clock.advance(-LIMITS.tokenLifetimeMsMax);
  t.notOk(tokens.has(await token()), 'a clock set back asks for a new one');
});
