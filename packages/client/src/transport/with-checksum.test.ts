import { crc32c } from '@stampede/server/api';
import t from 'tap';
import { withChecksum } from './with-checksum.js';

const body = Uint8Array.of(1, 2, 3);

t.test('a body gets its checksum, where the call takes one and the caller gave none', (t) => {
  t.same(withChecksum('objects.put', { key: 'k', body }), { key: 'k', body, crc32c: crc32c(body) });
  t.same(withChecksum('uploads.write', { body, crc32c: undefined }), { body, crc32c: crc32c(body) });
  for (const input of [{ body, crc32c: 7 }, { body: 'text' }, {}, undefined, null, 'text'])
    t.equal(withChecksum('objects.put', input), input, 'left as it is');
  const other = { body };
  t.equal(withChecksum('objects.read', other), other, 'another call');
  t.end();
});
