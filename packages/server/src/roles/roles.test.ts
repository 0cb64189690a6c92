import t from 'tap';
import { faultDomain, memberId } from '../api/index.js';
import { type EmbeddedMetaStore, openEmbeddedMetaStore } from '../coordination/index.js';
import {
  MemoryDisk,
  memoryOrderedStores,
  systemClock,
  systemRandom,
  systemSocketNetwork
} from '../platform/index.js';
import { tcpRoleNetwork } from '../rpc/index.js';
import { ClusterView } from './cluster-view.js';
import { type RunningRoles, startRoles } from './start-roles.js';

const clock = systemClock();
const random = systemRandom();
const network = tcpRoleNetwork({ sockets: systemSocketNetwork(), clock, random, secret: 'of the test' });

async function openMeta(): Promise<EmbeddedMetaStore> {
  const store = await memoryOrderedStores().open('/meta');
  return await openEmbeddedMetaStore({ store, clock, random });
}

interface Machine {
  readonly name: string;
  readonly disk: MemoryDisk;
  readonly stores: ReturnType<typeof memoryOrderedStores>;
}

function machine(name: string): Machine {
  return { name, disk: new MemoryDisk(), stores: memoryOrderedStores() };
}

function start({ name, disk, stores }: Machine, meta: EmbeddedMetaStore): Promise<RunningRoles> {
  return startRoles({
    memberId: memberId(name),
    faultDomain: faultDomain(`rack-${name}`),
    roles: {
      streamManager: true,
      extentNode: { directory: '/extents' },
      partitionServer: { indexDirectory: '/index' }
    },
    meta,
    network,
    listen: { host: '127.0.0.1', port: 0 },
    platform: { disk, clock, random, openOrderedStore: (directory) => stores.open(directory) }
  });
}

t.test('three members serve a front end, and two go on when the one that owns the keys leaves', async (t) => {
  const meta = await openMeta();
  const machines = ['a', 'b', 'c'].map(machine);
  const running = new Map<string, RunningRoles>();
  for (const each of machines) running.set(each.name, await start(each, meta));
  const view = await ClusterView.open({ meta, network, clock, random });
  const layer = await view.openPartitionLayer();

  await layer.buckets.create({ bucket: 'things' });
  const body = Buffer.alloc(300_000, 7);
  for (let number = 0; number < 20; number++)
    await layer.objects.put({ bucket: 'things', key: `key-${number}`, body });
  const [partition] = await layer.partitions();
  t.equal(partition?.objectCount, 20);

  const seen: string[] = [];
  const watching = new AbortController();
  const events = layer.objects.watch({ bucket: 'things' }, { signal: watching.signal });
  const watch = (async () => {
    for await (const event of events) seen.push(event.type === 'put' ? event.head.key : event.type);
  })();
  const map = await meta.find('/partitions/partition-1');
  const { owner } = JSON.parse(Buffer.from(map!.value).toString()) as { readonly owner: string };
  await running.get(owner)!.close();
  running.delete(owner);
  const read = await layer.objects.read({ bucket: 'things', key: 'key-7' });
  t.ok(body.equals(read.body));
  await layer.objects.put({ bucket: 'things', key: 'key-20', body: Buffer.from('with two') });
  const list = await layer.objects.list({ bucket: 'things' });
  t.equal(list.objects.length, 21);
  while (!seen.includes('reset') && !seen.includes('key-20')) await clock.sleep(20);
  t.ok(true, `the watch went on: ${seen.join(' ')}`);
  watching.abort();
  await watch;

  await layer.close();
  await view.close();
  for (const roles of running.values()) await roles.close();
  await meta.close();
});
