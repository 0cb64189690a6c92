// One of several programs that use the same files at the same time. node race-program.mjs KIND DIRECTORY INDEX COUNT
// Waits for a line on its standard input, so that all begin together, and prints what it found as JSON.
import * as fs from 'node:fs';
import { join } from 'node:path';

const [kind, directory, indexText, countText] = process.argv.slice(2);
const index = Number(indexText);
const count = Number(countText);

const kinds = {
  /** Whole lines of every length, each with one write(2). */
  append() {
    const file = fs.openSync(join(directory, 'log'), 'a');
    for (let line = 0; line < count; line++) {
      const text = `${index} ${line} ${'x'.repeat((line * 37 + index * 101) % 3000)}\n`;
      if (fs.writeSync(file, text) !== Buffer.byteLength(text)) throw new Error('a short write');
    }
    fs.closeSync(file);
  },

  /** Files, directories and links that only one program can make. */
  exclusive() {
    const won = [];
    const attempts = {
      file: (path) => fs.closeSync(fs.openSync(path, 'wx')),
      directory: (path) => fs.mkdirSync(path),
      link: (path) => fs.symlinkSync(`by-${index}`, path)
    };
    for (let number = 0; number < count; number++)
      for (const [type, attempt] of Object.entries(attempts)) {
        const name = `${type}-${number}`;
        if (succeeds(() => attempt(join(directory, name)), 'EEXIST')) won.push(name);
      }
    return won;
  },

  /** As `replace`, on a drive that shows no file for a moment. */
  replaceWithGaps() {
    return kinds.replace(true);
  },

  /** The first replaces a file by renaming over it; the others read it and must find one version, whole, and never an older one. */
  replace(mayBeMissing = false) {
    const path = join(directory, 'current');
    const versionOf = (content) => {
      const version = content.readUInt32LE(0);
      const isWhole =
        content.length === sizeOf(version) && content.every((byte, at) => at < 4 || byte === version % 251);
      if (!isWhole) throw new Error(`${content.length} bytes that are not version ${version}`);
      return version;
    };
    if (index === 0) {
      for (let version = 1; version <= count; version++) {
        const content = Buffer.alloc(sizeOf(version), version % 251);
        content.writeUInt32LE(version, 0);
        fs.writeFileSync(`${path}.new`, content);
        fs.renameSync(`${path}.new`, path);
      }
      return count;
    }
    let last = 0;
    let seen = 0;
    while (last < count) {
      let content;
      if (!succeeds(() => (content = fs.readFileSync(path)), mayBeMissing ? 'ENOENT' : '')) continue;
      const version = versionOf(content);
      if (version < last) throw new Error(`version ${version} after ${last}`);
      if (version > last) seen++;
      last = version;
    }
    return seen;
  },

  /** Records side by side in one file, over and over; none ends with a page. */
  regions() {
    const file = fs.openSync(join(directory, 'table'), 'r+');
    const record = Buffer.alloc(997);
    for (let turn = 0; turn < count; turn++)
      for (let row = 0; row < 20; row++) {
        record.fill((turn * 7 + row * 3 + index) % 251);
        fs.writeSync(file, record, 0, record.length, (row * 8 + index) * record.length);
      }
    fs.closeSync(file);
  },

  /** Some make and remove a directory, others a file in it: who has made the file finds it until he removes it. */
  nest() {
    const parent = join(directory, 'nest');
    const path = join(parent, `file-${index}`);
    let made = 0;
    for (let turn = 0; turn < count; turn++) {
      if (index % 4 === 0) {
        succeeds(() => fs.mkdirSync(parent), 'EEXIST');
        for (let look = 0; look < 10; look++) succeeds(() => fs.readdirSync(parent), 'ENOENT');
        succeeds(() => fs.rmdirSync(parent), 'ENOENT', 'ENOTEMPTY');
      } else if (succeeds(() => fs.writeFileSync(path, `${turn}`), 'ENOENT')) {
        made++;
        const found = fs.readFileSync(path, 'utf8');
        if (found !== `${turn}` || !fs.readdirSync(parent).includes(`file-${index}`))
          throw new Error(`found ${found}`);
        fs.unlinkSync(path);
      }
    }
    return made;
  },

  /** Each moves the one file there is to a name of his own; it is never lost and never twice. */
  steal() {
    let heldCount = 0;
    const own = join(directory, `mine-${index}`);
    for (let turn = 0; turn < count; turn++)
      if (succeeds(() => fs.renameSync(join(directory, 'prize'), own), 'ENOENT')) {
        const held = Number(fs.readFileSync(own, 'utf8'));
        fs.writeFileSync(own, `${held + 1}`);
        fs.renameSync(own, join(directory, 'prize'));
        heldCount++;
      }
    return heldCount;
  }
};

process.stdin.once('data', () => {
  try {
    console.log(JSON.stringify({ result: kinds[kind]() ?? null }));
  } catch (error) {
    console.log(JSON.stringify({ error: String(error) }));
  }
  process.stdin.destroy();
});
console.log('ready');

function sizeOf(version) {
  return 4 + ((version * 7919) % 50_000);
}

/** False when it fails as it may; any other failure is one. */
function succeeds(run, ...codes) {
  try {
    run();
    return true;
  } catch (error) {
    if (codes.includes(error.code)) return false;
    throw error;
  }
}
