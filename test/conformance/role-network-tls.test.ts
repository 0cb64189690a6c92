import { systemClock, systemRandom, systemSocketNetwork } from '@stampede/server/platform';
import t from 'tap';
import { TEST_CERTIFICATE } from '../../packages/client/src/testing/test-certificate.js';
import { type RoleService, tcpRoleNetwork } from '../../packages/server/src/rpc/index.js';

/* Members of a stamp that speak TLS: both sides must show a certificate of their authority, and know the secret. */

const shared = {
  sockets: systemSocketNetwork(),
  clock: systemClock(),
  random: systemRandom(),
  secret: 'of the stamp'
};
const tls = { ...TEST_CERTIFICATE, ca: TEST_CERTIFICATE.cert };
const WAIT = { deadlineMs: 10_000 };

const service: RoleService = {
  call: async (_path, payload) => payload,
  async *subscribe() {
    yield 'event';
  }
};

t.test('calls and events pass between members with certificates', async (t) => {
  const network = tcpRoleNetwork({ ...shared, tls });
  const listener = await network.listen({ host: '127.0.0.1', port: 0, service });
  const connection = network.connect(listener.address);
  const bytes = Buffer.alloc(3_000_000, 5);
  const answer = (await connection.call('test.echo', { bytes }, WAIT)) as { readonly bytes: Uint8Array };
  t.ok(bytes.equals(answer.bytes));
  for await (const event of connection.subscribe('test.events', null, {
    signal: new AbortController().signal
  }))
    t.equal(event, 'event');
  connection.close();
  await listener.close();
});

t.test('nobody gets in without a certificate, or with TLS to who has none', async (t) => {
  const encrypted = await tcpRoleNetwork({ ...shared, tls }).listen({ host: '127.0.0.1', port: 0, service });
  const plain = await tcpRoleNetwork(shared).listen({ host: '127.0.0.1', port: 0, service });
  const stranger = tcpRoleNetwork(shared).connect(encrypted.address);
  await t.rejects(stranger.call('test.echo', 1, WAIT), { code: 'ServiceUnavailable' });
  const member = tcpRoleNetwork({ ...shared, tls }).connect(plain.address);
  await t.rejects(member.call('test.echo', 1, WAIT), { code: 'ServiceUnavailable' });
  await encrypted.close();
  await plain.close();
});
