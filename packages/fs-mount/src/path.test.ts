import t from 'tap';
import { bytesOfName, isBytesName, nameOfBytes } from './path.js';

t.test('every sequence of bytes has a name of its own, and comes back from it', (t) => {
  const given = ['plain', 'é', '%=bytes=x', '%=bytes=%FF', '%', ''].map((text) => Buffer.from(text));
  for (let byte = 1; byte < 256; byte++) given.push(Buffer.from([byte]), Buffer.from([0x25, byte, 0xff]));
  const names = new Map<string, Buffer>();
  for (const bytes of given) {
    const name = nameOfBytes(bytes);
    t.ok(name.isWellFormed() && !name.includes('\ufffd'), name);
    names.set(name, bytes);
  }
  t.same(nameOfBytes(Buffer.from([0x63, 0xe9, 0x25])), '%=bytes=c%E9%25');
  t.same(bytesOfName('%=bytes=c%E9%25'), Buffer.from([0x63, 0xe9, 0x25]));
  for (const [name, bytes] of names)
    if (Buffer.from(name).equals(bytes) === false) t.same(bytesOfName(name), bytes, name);
  t.ok(isBytesName('%=bytes=c%E9%25'));
  for (const text of ['%=bytes=plain', '%=bytes=%e9', '%=bytes=%41', '%=bytes=é'])
    t.same([bytesOfName(text), isBytesName(text)], [Buffer.from(text), false], `${text} is what it is`);
  t.end();
});
