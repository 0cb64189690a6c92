// Plain file operations on a directory, timed inside one process: what a program on the drive sees.
// node files.mjs OPERATION DIR [COUNT|BYTES]; prints JSON.

import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';

const [operation, directory, amountText] = process.argv.slice(2);
const amount = Number(amountText);
const now = () => Number(process.hrtime.bigint()) / 1e9;
const pathOf = (index) => join(directory, `d${Math.floor(index / 1000)}`, `f${index}`);

const operations = {
  /** One file of `amount` bytes in 1 MiB writes, then fsync and close. */
  write() {
    const block = Buffer.alloc(1 << 20, 0x5a);
    const start = now();
    const fd = fs.openSync(join(directory, 'big'), 'w');
    for (let done = 0; done < amount; done += block.length) {
      block.writeDoubleLE(done, 0);
      fs.writeSync(fd, block);
    }
    fs.fsyncSync(fd);
    fs.closeSync(fd);
    return { seconds: now() - start };
  },
  read() {
    const block = Buffer.alloc(1 << 20);
    const start = now();
    const fd = fs.openSync(join(directory, 'big'), 'r');
    let bytes = 0;
    for (;;) {
      const count = fs.readSync(fd, block);
      if (count === 0) break;
      bytes += count;
    }
    fs.closeSync(fd);
    if (bytes !== amount) throw new Error(`read ${bytes} of ${amount} bytes`);
    return { seconds: now() - start };
  },
  /** `amount` files of 4 KiB, each created, written and closed. */
  create() {
    const body = Buffer.alloc(4096, 0x61);
    const start = now();
    for (let index = 0; index < amount; index++) {
      if (index % 1000 === 0) fs.mkdirSync(join(directory, `d${index / 1000}`));
      fs.writeFileSync(pathOf(index), body);
    }
    return { seconds: now() - start };
  },
  /** The same by 16 processes at once, each in a directory of its own. */
  async 'create-16'() {
    const { spawn } = await import('node:child_process');
    const start = now();
    await Promise.all(
      Array.from({ length: 16 }, (_, index) => {
        const own = join(directory, `p${index}`);
        fs.mkdirSync(own);
        const words = [process.argv[1], 'create', own, String(Math.ceil(amount / 16))];
        const child = spawn(process.execPath, words, { stdio: 'ignore' });
        return new Promise((resolve, reject) =>
          child.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`ended with ${code}`))))
        );
      })
    );
    return { seconds: now() - start };
  },
  /** Random blocks of 4 KiB of `big`, which has `amount` bytes, for two seconds. */
  'random-read'() {
    const block = Buffer.alloc(4096);
    const fd = fs.openSync(join(directory, 'big'), 'r');
    const blocks = Math.floor(amount / block.length);
    let state = 7;
    let count = 0;
    const start = now();
    for (; count % 64 !== 0 || now() - start < 2; count++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      fs.readSync(fd, block, 0, block.length, (state % blocks) * block.length);
    }
    fs.closeSync(fd);
    return { seconds: now() - start, count };
  },
  /** Opens and closes files that exist. */
  open() {
    const start = now();
    for (let index = 0; index < amount; index++) fs.closeSync(fs.openSync(pathOf(index), 'r'));
    return { seconds: now() - start };
  },
  'rename-directory'() {
    const start = now();
    fs.renameSync(join(directory, 'flat'), join(directory, 'flat-2'));
    return { seconds: now() - start };
  },
  /** A tree of `amount` files of 1 to 8 KiB, copied in by cp -r. */
  'copy-tree'() {
    const source = fs.mkdtempSync('/var/tmp/stampede-tree-');
    for (let index = 0; index < amount; index++) {
      if (index % 100 === 0) fs.mkdirSync(join(source, `d${index / 100}`));
      const body = Buffer.alloc(1024 + ((index * 37) % 7168), index);
      fs.writeFileSync(join(source, `d${Math.floor(index / 100)}`, `f${index}`), body);
    }
    try {
      const start = now();
      execFileSync('cp', ['-r', source, join(directory, 'tree')]);
      return { seconds: now() - start };
    } finally {
      fs.rmSync(source, { recursive: true });
    }
  },
  'read-small'() {
    const start = now();
    for (let index = 0; index < amount; index++) {
      if (fs.readFileSync(pathOf(index)).length !== 4096) throw new Error(`${pathOf(index)} is short`);
    }
    return { seconds: now() - start };
  },
  /** Random stats over files that exist. */
  stat() {
    let state = 42;
    const start = now();
    for (let index = 0; index < amount; index++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      fs.statSync(pathOf(state % amount));
    }
    return { seconds: now() - start };
  },
  /** `amount` empty files in one directory. */
  'create-flat'() {
    const start = now();
    for (let index = 0; index < amount; index++)
      fs.closeSync(fs.openSync(join(directory, `entry-${String(index).padStart(7, '0')}`), 'w'));
    return { seconds: now() - start };
  },
  'ls-l'() {
    const start = now();
    const output = execFileSync('ls', ['-l', directory], { maxBuffer: 1 << 30 });
    const seconds = now() - start;
    return { seconds, lines: output.toString('latin1').split('\n').length - 2 };
  },
  /** Until find has said the first name. */
  async 'first-entry'() {
    const { spawn } = await import('node:child_process');
    const start = now();
    const child = spawn('find', [directory, '-type', 'f'], { stdio: ['ignore', 'pipe', 'ignore'] });
    await new Promise((resolve) => child.stdout.once('data', resolve));
    const seconds = now() - start;
    child.stdout.destroy();
    child.kill();
    return { seconds };
  },
  find() {
    const start = now();
    const output = execFileSync('find', [directory, '-type', 'f'], { maxBuffer: 1 << 30 });
    return { seconds: now() - start, lines: output.toString('latin1').split('\n').length - 1 };
  },
  /** fdatasync calls a second, each after a 4 KiB write: the disk's own limit. */
  fdatasync() {
    const body = Buffer.alloc(4096, 0x62);
    const fd = fs.openSync(join(directory, 'fdatasync'), 'w');
    const start = now();
    for (let index = 0; index < amount; index++) {
      fs.writeSync(fd, body);
      fs.fdatasyncSync(fd);
    }
    const seconds = now() - start;
    fs.closeSync(fd);
    fs.unlinkSync(join(directory, 'fdatasync'));
    return { seconds };
  }
};

console.log(JSON.stringify(await operations[operation]()));
