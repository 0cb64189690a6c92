import fc from 'fast-check';
import t from 'tap';
import { combineCrc32c, crc32c, crc32cOfZeros } from './checksum.js';

t.test('matches the published check value', (t) => {
  t.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
  t.end();
});

t.test('combines the checksums of two halves into that of the whole', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 5000 }), fc.nat(5000), (bytes, cut) => {
      const at = Math.min(cut, bytes.length);
      const combined = combineCrc32c(
        crc32c(bytes.subarray(0, at)),
        crc32c(bytes.subarray(at)),
        bytes.length - at
      );
      return combined === crc32c(bytes);
    })
  );
  t.end();
});

t.test('continues from an earlier checksum', (t) => {
  t.equal(crc32c(Buffer.from('456789'), crc32c(Buffer.from('123'))), 0xe3069283);
  t.end();
});

t.test('knows the checksum of zeros of any length', (t) => {
  for (const length of [0, 1, 7, 4096, 100_001]) {
    t.equal(crc32cOfZeros(length), crc32c(new Uint8Array(length)), `${length} zeros`);
  }
  t.end();
});
