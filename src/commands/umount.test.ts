import type { MountAnswer, MountQuestion } from '@stampede/fs-mount';
import t from 'tap';
import { TestWorld } from '../testing/test-world.js';

/** What each question gets, and what was unmounted. */
function worldOf(answers: (question: MountQuestion, timeoutMs: number) => MountAnswer) {
  const unmounted: [string, { readonly lazy: boolean }][] = [];
  const sources: Record<string, [string, string]> = {
    drive: ['fuse.stampede', 'stampede:drive/'],
    disk: ['ext4', '/dev/sda1']
  };
  const world = new TestWorld({
    world: {
      findMount: async (directory) => {
        const [type, source] = sources[directory.slice(directory.lastIndexOf('/') + 1)] ?? [];
        return type && source ? { path: `/real${directory}`, type, source, device: '0:40' } : undefined;
      },
      askMount: async (_, question, { timeoutMs }) => answers(question, timeoutMs),
      unmount: async (directory, options) => {
        unmounted.push([directory, options]);
      }
    }
  });
  return { world, unmounted };
}

t.test('umount unmounts drives, by the path the kernel has, and nothing else', async (t) => {
  const { world, unmounted } = worldOf(() => ({ type: 'answered', text: '' }));
  using _ = world;
  t.match(await world.run('umount', 'drive/'), { code: 0, stderr: '' });
  t.match(await world.run('umount', '-f', 'drive'), { code: 0 });
  const path = `/real${world.path('drive')}`;
  t.same(unmounted, [
    [path, { lazy: false }],
    [path, { lazy: true }]
  ]);
  t.match(await world.run('umount', 'disk'), { code: 1, stderr: /is no drive of Stampede, but \/dev\/sda1/ });
  t.match(await world.run('umount', 'none'), { code: 1, stderr: /nothing is mounted at/ });
  t.match(await world.run('umount', 'drive', '--timeout', '0'), { code: 2, stderr: /--timeout: "0" is no/ });
  t.equal(unmounted.length, 2);
});

const STATS: MountAnswer = { type: 'answered', text: 'stampede_drive_unstored_bytes 1048576\n' };

for (const { name, stats = STATS, sync, said, isUnmounted = false } of [
  { name: 'is stuck', stats: { type: 'silent' }, sync: STATS, said: /not answered for 30 s.*--force/ },
  {
    name: 'takes too long to store',
    sync: { type: 'silent' },
    said: /within 40 s \(1.00 MiB are left\).*--timeout/
  },
  {
    name: 'cannot store',
    sync: { type: 'failed', code: 'ENOSPC' },
    said: /could be stored \(ENOSPC\).*--force/
  },
  { name: 'is not asked to the end', sync: { type: 'failed', code: undefined }, said: /interrupted/ },
  {
    name: 'has no process any more',
    stats: { type: 'failed', code: 'ENOTCONN' },
    sync: { type: 'failed', code: 'ENOTCONN' },
    said: /^$/,
    isUnmounted: true
  },
  {
    name: 'is not for this user to enter',
    stats: { type: 'failed', code: 'EACCES' },
    sync: { type: 'failed', code: 'EACCES' },
    said: /^$/,
    isUnmounted: true
  }
] satisfies { name: string; stats?: MountAnswer; sync: MountAnswer; said: RegExp; isUnmounted?: boolean }[])
  t.test(
    `a drive that ${name} ${isUnmounted ? 'is unmounted' : 'stays, and what to do is said'}`,
    async (t) => {
      const { world, unmounted } = worldOf((question) => (question === 'sync' ? sync : stats));
      using _ = world;
      const { code, stderr } = await world.run('umount', 'drive', '--timeout', '40');
      t.equal(code, isUnmounted ? 0 : 1);
      t.match(stderr, said);
      t.equal(unmounted.length, isUnmounted ? 1 : 0);
    }
  );
