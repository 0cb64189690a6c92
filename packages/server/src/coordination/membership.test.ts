import t from 'tap';
import { faultDomain, memberId, StoreError } from '../api/index.js';
import { type ManualClock, manualClock, memoryOrderedStore, seededRandom } from '../platform/index.js';
import { type EmbeddedMetaStore, openEmbeddedMetaStore } from './embedded-meta-store.js';
import { decodeMember, MEMBER_PREFIX, putMember, removeMember } from './member-table.js';
import { Membership } from './membership.js';
import type { MetaLease, MetaStore } from './meta-store.js';

const ID = memberId('m');

class Fixture implements AsyncDisposable {
  readonly clock: ManualClock = manualClock();
  readonly leases: MetaLease[] = [];
  readonly troubles: unknown[] = [];
  /** Puts of members fail, or whole watches. */
  isPutBroken = false;
  isWatchBroken = false;
  #meta: EmbeddedMetaStore | undefined;
  #membership: Membership | undefined;

  get meta(): EmbeddedMetaStore {
    return this.#meta!;
  }

  get membership(): Membership {
    return this.#membership!;
  }

  async start(): Promise<void> {
    const { clock } = this;
    const options = { store: await memoryOrderedStore(), clock, random: seededRandom(1) };
    this.#meta = await openEmbeddedMetaStore(options);
    this.#membership = await Membership.start({
      meta: this.#wrapped(this.#meta),
      clock,
      member: { memberId: ID, address: 'a:1', faultDomain: faultDomain('r'), roles: [] },
      onTrouble: (cause) => void this.troubles.push(cause)
    });
  }

  #wrapped(meta: MetaStore): MetaStore {
    const unavailable = new StoreError('ServiceUnavailable', 'Try again.');
    return {
      find: (key, options) => meta.find(key, options),
      range: (prefix, options) => meta.range(prefix, options),
      transact: async (transaction, options) => {
        if (this.isPutBroken) throw unavailable;
        return await meta.transact(transaction, options);
      },
      watch: (prefix, options) => {
        if (this.isWatchBroken) throw unavailable;
        return meta.watch(prefix, options);
      },
      grantLease: async (timeToLiveMs, options) => {
        const lease = await meta.grantLease(timeToLiveMs, options);
        this.leases.push(lease);
        return lease;
      },
      campaign: (election, candidate, options) => meta.campaign(election, candidate, options),
      findLeader: (election, options) => meta.findLeader(election, options),
      close: () => meta.close(),
      [Symbol.asyncDispose]: () => meta.close()
    };
  }

  async row() {
    const entry = await this.meta.find(MEMBER_PREFIX + ID);
    return entry && decodeMember(entry);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#membership?.close();
    await this.#meta?.close();
  }
}

for (const isWatchBroken of [false, true]) {
  const when = isWatchBroken ? ', although its watch was broken' : '';
  t.test(`a member that was taken for gone ends its life and joins again${when}`, async (t) => {
    await using fixture = new Fixture();
    fixture.isWatchBroken = isWatchBroken;
    await fixture.start();
    const life = await fixture.membership.life();
    const row = await fixture.row();
    await fixture.clock.advance(30_000);
    t.equal(life.isOver(), false);
    await removeMember(fixture.meta, row!);
    fixture.isWatchBroken = false;
    await fixture.clock.advance(6000);
    t.equal(life.isOver(), true);
    t.equal(life.over.aborted, true);
    t.ok((await fixture.row())!.revision > row!.revision, 'it is in the table again');
    t.equal((await fixture.membership.life()).isOver(), false);
    t.same(
      fixture.leases.map(({ lost }) => lost.aborted),
      [true, false]
    );
  });
}

t.test('tries to join that fail leave no lease behind', async (t) => {
  await using fixture = new Fixture();
  await fixture.start();
  fixture.isPutBroken = true;
  await fixture.leases[0]!.revoke();
  await fixture.clock.advance(3000);
  fixture.isPutBroken = false;
  await fixture.clock.advance(1000);
  t.ok(fixture.leases.length > 4, `${fixture.leases.length} leases`);
  t.equal(fixture.leases.filter(({ lost }) => !lost.aborted).length, 1);
  t.ok(await fixture.row());
});

t.test('a member whose name another process has taken waits until that one is gone', async (t) => {
  await using fixture = new Fixture();
  await fixture.start();
  const life = await fixture.membership.life();
  const other = await fixture.meta.grantLease(5000);
  const elsewhere = { memberId: ID, address: 'b:1', faultDomain: faultDomain('r'), roles: [] };
  await putMember(fixture.meta, elsewhere, { lease: other, yields: false });
  await fixture.clock.advance(20_000);
  t.equal(life.isOver(), true);
  t.equal(fixture.membership.isAlive, false);
  t.equal((await fixture.row())!.address, 'b:1');
  t.match(fixture.troubles.at(-1), { code: 'ServiceUnavailable', message: /b:1 is member m now/ });
  await other.revoke();
  await fixture.clock.advance(1000);
  t.equal((await fixture.row())!.address, 'a:1');
  t.equal(fixture.membership.isAlive, true);
});

t.test('a life that ran out while the machine slept is over when it wakes, before any timer', async (t) => {
  const clock = manualClock();
  const options = { store: await memoryOrderedStore(), clock, random: seededRandom(1) };
  await using meta = await openEmbeddedMetaStore(options);
  const session = meta.connect();
  const member = { memberId: ID, address: 'a:1', faultDomain: faultDomain('r'), roles: [] };
  const membership = await Membership.start({ meta: session, clock, member });
  const life = await membership.life();
  // Asleep it keeps nothing alive.
  session.cutOff();
  clock.suspend(1000);
  t.equal(life.isOver(), false);
  clock.suspend(60_000);
  t.equal(life.isOver(), true);
  t.equal(life.over.aborted, false, 'no timer came due');
  await Promise.all([membership.close(), clock.advance(10_000)]);
});
