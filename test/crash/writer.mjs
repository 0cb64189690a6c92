// Writes files on the drive until it is ended, the drive goes away or there is a file JOURNAL.stop.
//   node writer.mjs DRIVE JOURNAL SEED FILES
// The journal (on a plain disk) gets a line before and after each operation; contents follow from (file, version), so
// that a reader knows what each file may hold.
import * as fs from 'node:fs';
import { join } from 'node:path';
import { contentOf, sizeOf } from './content.mjs';

const [drive, journalPath, seedText, filesText] = process.argv.slice(2);
const files = Number(filesText);
const journal = fs.openSync(journalPath, 'a');
let state = Number(seedText) >>> 0;
const random = (below) => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
};

const operations = {
  overwrite(path, file, version) {
    fs.mkdirSync(join(path, '..'), { recursive: true });
    fs.writeFileSync(path, contentOf(file, version));
  },
  replace(path, file, version) {
    fs.mkdirSync(join(path, '..'), { recursive: true });
    fs.writeFileSync(`${path}.new`, contentOf(file, version));
    fs.renameSync(`${path}.new`, path);
  },
  append(path, file, version) {
    fs.mkdirSync(join(path, '..'), { recursive: true });
    const fd = fs.openSync(path, 'a');
    fs.writeSync(fd, contentOf(file, version).subarray(0, Math.min(sizeOf(file, version), 20_000)));
    fs.fsyncSync(fd);
    fs.closeSync(fd);
  },
  delete(path) {
    fs.rmSync(path, { force: true });
  }
};

try {
  for (let version = Number(seedText) * 1_000_000; !fs.existsSync(`${journalPath}.stop`); version++) {
    const file = random(files);
    const kind = ['overwrite', 'overwrite', 'replace', 'append', 'delete'][random(5)];
    fs.writeSync(journal, `${JSON.stringify({ begin: kind, file, version })}\n`);
    operations[kind](join(drive, `dir-${file % 7}`, `file-${file}`), file, version);
    fs.writeSync(journal, `${JSON.stringify({ done: true })}\n`);
  }
} catch (error) {
  fs.writeFileSync(`${journalPath}.gone`, String(error));
  // The drive went away: what was begun and not done may or may not have happened.
  if (!['EIO', 'ENOTCONN', 'ENXIO', 'ENOENT', 'ETIMEDOUT', 'ECONNABORTED', 'ENODEV'].includes(error.code)) {
    fs.writeSync(journal, `${JSON.stringify({ error: String(error) })}\n`);
  }
}
