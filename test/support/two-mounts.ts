import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Locker } from './locker.js';
import { COMMAND, scratch, startMount, startStore } from './store-process.js';

const run = promisify(execFile);

export type TwoMounts = Awaited<ReturnType<typeof twoMounts>>;

/** A store and two mounts of one bucket with --locks=server, each a process of its own. */
export async function twoMounts() {
  const folder = scratch();
  const data = join(folder.path, 'data');
  const first = await startStore({ data });
  const { endpoint } = first;
  await run(process.execPath, [COMMAND, 'bucket', 'create', 'drive', '--data', data]);
  const start = (name: string) =>
    startMount({
      data,
      endpoint,
      bucket: 'drive',
      directory: join(folder.path, name),
      driver: 'linux',
      locks: 'server'
    });
  const mounts = { a: await start('a'), b: await start('b') };
  let store = first;
  return {
    a: (path: string) => join(folder.path, 'a', path),
    b: (path: string) => join(folder.path, 'b', path),
    metrics: async () => await (await fetch(new URL('/metrics', endpoint))).text(),
    process: (name: 'a' | 'b') => mounts[name].process,
    async crashMount(name: 'a' | 'b') {
      await mounts[name].kill();
    },
    async startMount(name: 'a' | 'b') {
      mounts[name] = await start(name);
    },
    async restartStore() {
      await store.kill();
      store = await startStore({ data, port: Number(new URL(endpoint).port) });
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([mounts.a[Symbol.asyncDispose](), mounts.b[Symbol.asyncDispose]()]);
      await store[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    }
  };
}

/** A program that has the file open for reading and writing as `f`. */
export async function opened(path: string): Promise<Locker> {
  const locker = new Locker();
  await locker.does(`f = os.open(${JSON.stringify(path)}, os.O_RDWR | os.O_CREAT)`);
  return locker;
}
