import t from 'tap';
import {
  type MetaStoreFixture,
  metaStoreConformance
} from '../../coordination/testing/meta-store-conformance.js';
import { Life } from './life.js';
import { META_ADDRESS } from './machine.js';
import { MetaCore } from './meta-core.js';
import { MetaService } from './meta-service.js';
import { MetaSession } from './meta-session.js';
import { SimulatedNetwork } from './network.js';
import { World } from './world.js';

/* What stands for etcd in the simulation promises what etcd promises, as far as the roles can tell. */

const CLOCK = { rate: 1, wallOffsetMs: 0 };

let seed = 1;
metaStoreConformance(t, () => openFixture(seed++));

/** Time passes while calls are under way, so that whoever waits for one need not move the clock. */
async function openFixture(seed: number): Promise<MetaStoreFixture> {
  const world = new World(seed);
  const network = new SimulatedNetwork(world);
  const [host, port] = META_ADDRESS.split(':');
  const etcd = new Life({ world, name: host!, number: 1, clock: CLOCK });
  const service = new MetaService(world, new MetaCore(world));
  await network.of(etcd).listen({ host: host!, port: Number(port), service });

  // One clock for all, as the suite compares their readings; it outlives the members.
  const { clock } = new Life({ world, name: 'clock', number: 1, clock: CLOCK });
  let lifeCount = 0;
  let own = begin('own');

  let isOver = false;
  const passing = pass();

  return {
    get store() {
      return own.session;
    },
    async connect() {
      const member = begin(`member${lifeCount}`);
      return { store: member.session, cutOff: () => member.connection.close() };
    },
    async reopen() {
      own.life.end();
      network.ended(own.life, false);
      own = begin('own');
      return own.session;
    },
    async pass(durationMs) {
      const endMs = world.nowMs + durationMs;
      while (world.nowMs < endMs && !isOver) await new Promise((resolve) => setImmediate(resolve));
    },
    elapsedMs: () => clock.elapsedMs(),
    async [Symbol.asyncDispose]() {
      isOver = true;
      await passing;
    }
  };

  function begin(name: string) {
    lifeCount += 1;
    const life = new Life({ world, name, number: lifeCount, clock: CLOCK });
    const connection = network.of(life).connect(META_ADDRESS);
    return { life, connection, session: new MetaSession({ connection, clock, random: life.random }) };
  }

  async function pass(): Promise<void> {
    while (!isOver) {
      await world.run(world.nowMs + 1);
      if (world.violation) throw world.violation;
    }
  }
}
