import t from 'tap';
import { LIMITS } from '../api/index.js';
import { BytesInFlight } from './bytes-in-flight.js';
import { CallAdmission, CONNECTION_BYTES_MAX } from './call-admission.js';

t.test('lets one connection have so many calls, and another when one ends', async (t) => {
  const { admission, retries } = build(LIMITS.frontEndBytesInFlightMax);
  const calls = Array.from({ length: LIMITS.connectionCallsInFlightMax }, () => admission.tryAdmit(1)!);
  t.ok(calls.every(Boolean));
  t.equal(admission.tryAdmit(1), undefined);
  t.equal(retries.count, 0);
  calls[0]!.release();
  t.equal(retries.count, 1);
  t.ok(admission.tryAdmit(1));
  calls[1]!.release();
  t.equal(retries.count, 1, 'nobody waits');
});

t.test('lets one connection have only its part of the bytes, but always one call', async (t) => {
  const { admission, shared } = build(LIMITS.frontEndBytesInFlightMax);
  const large = admission.tryAdmit(CONNECTION_BYTES_MAX + 10)!;
  t.ok(large);
  t.equal(admission.tryAdmit(1), undefined);
  large.shrinkTo(5);
  t.equal(shared.taken, 5);
  t.ok(admission.tryAdmit(1));
  large.shrinkTo(50);
  t.equal(shared.taken, 6, 'it never grows');
});

t.test('waits for bytes that other connections have', async (t) => {
  const { admission, shared, retries } = build(100);
  shared.tryTake(95);
  t.equal(admission.tryAdmit(10), undefined);
  shared.give(95);
  t.equal(retries.count, 1);
  t.equal(shared.taken, 10, 'they are held for the call that waits');
  const call = admission.tryAdmit(10)!;
  call.release();
  call.release();
  t.equal(shared.taken, 0);
  t.equal(admission.callCount, 0);
});

t.test('a connection that ends leaves nothing taken and waits no more', async (t) => {
  const waiting = build(100);
  waiting.shared.tryTake(95);
  waiting.admission.tryAdmit(10);
  waiting.admission.end();
  waiting.shared.give(95);
  t.equal(waiting.retries.count, 0);
  t.equal(waiting.shared.taken, 0);

  const granted = build(100);
  granted.shared.tryTake(95);
  granted.admission.tryAdmit(10);
  granted.shared.give(95);
  granted.admission.end();
  t.equal(granted.shared.taken, 0);
});

function build(bytesMax: number) {
  const shared = new BytesInFlight(bytesMax);
  const retries = { count: 0 };
  const admission = new CallAdmission(shared, () => {
    retries.count += 1;
  });
  return { admission, shared, retries };
}
