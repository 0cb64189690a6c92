import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { DRIVES, startDrive, withoutDrive } from '../support/drive-process.js';
import { missingOf } from '../support/needs.js';
import { scratch } from '../support/store-process.js';

/*
 * fio writes blocks with a checksum and their place in them at random, and reads them back while it goes on writing and
 * once more at the end: through the kernel's cache, past it, with fsync between, and through a mapping, all at once.
 */

const run = promisify(execFile);
/** How long for each drive. */
const SECONDS = Number(process.env['FIO_SECONDS'] ?? 7);
const FILE_MIB = Number(process.env['FIO_MIB'] ?? 48);
const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e9));

const JOBS = `
[global]
size=${FILE_MIB}m
time_based
runtime=${SECONDS}
randseed=${SEED}
rw=randrw
rwmixread=40
verify=crc32c
verify_fatal=1
verify_backlog=200
fallocate=none

[buffered]
ioengine=psync
bsrange=512-96k
blockalign=512

[past-the-cache]
ioengine=psync
direct=1
bsrange=4k-256k
blockalign=4k

[synced]
ioengine=psync
fsync=20
bs=4k

[mapped]
ioengine=mmap
bs=4k
fsync=500
`;

const withoutFio = await missingOf(['fio']);

for (const { driver, store } of DRIVES)
  t.test(
    `fio reads back in ${SECONDS} s what it wrote to a drive of ${driver} over ${store}`,
    { skip: withoutDrive(store, driver) || withoutFio, timeout: 120_000 + SECONDS * 4000 },
    async (t) => {
      t.comment(`SEED=${SEED} FIO_SECONDS=${SECONDS} FIO_MIB=${FILE_MIB}`);
      using folder = scratch();
      await using drive = await startDrive({ store, driver, folder: folder.path });
      const jobs = join(folder.path, 'jobs.fio');
      writeFileSync(jobs, JOBS);
      const { stdout } = await run('fio', ['--output-format=json', `--directory=${drive.directory}`, jobs], {
        cwd: folder.path,
        maxBuffer: 1 << 26
      });
      const result = JSON.parse(stdout.slice(stdout.indexOf('{'))) as FioResult;
      for (const job of result.jobs) {
        const { jobname, error, read, write } = job;
        t.equal(error, 0, `${jobname}: ${read.total_ios} reads, ${write.total_ios} writes`);
        t.ok(read.total_ios > 0 && write.total_ios > 0, `${jobname}: was at work`);
      }
      t.same(
        drive.events.filter((event) => event.type !== 'watchLive'),
        [],
        'no event of the mount'
      );
    }
  );

interface FioResult {
  readonly jobs: readonly {
    readonly jobname: string;
    readonly error: number;
    readonly read: { readonly total_ios: number };
    readonly write: { readonly total_ios: number };
  }[];
}
