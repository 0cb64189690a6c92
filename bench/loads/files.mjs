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

console.log(JSON.stringify(operations[operation]()));
