import fc from 'fast-check';
import t from 'tap';
import {
  after,
  keyOfObjectRow,
  objectRow,
  objectRows,
  partsOfUploadRow,
  requestOfRow,
  requestRow,
  successor,
  uploadIdOf,
  uploadRow
} from './row-key.js';

const key = fc.string({ unit: 'binary', maxLength: 20 }).filter((text) => text.isWellFormed());

t.test('rows sort as the bytes of their keys', (t) => {
  fc.assert(
    fc.property(key, key, (a, b) => {
      const order = Buffer.compare(Buffer.from(a), Buffer.from(b));
      const [rowA, rowB] = [objectRow('bucket', a), objectRow('bucket', b)];
      return order === (rowA < rowB ? -1 : rowA > rowB ? 1 : 0);
    })
  );
  t.pass();
  t.end();
});

t.test('a key, whatever is in it, comes back from its row', (t) => {
  fc.assert(
    fc.property(key, fc.nat(), (text, sequence) => {
      const uploadId = uploadIdOf(sequence);
      const upload = partsOfUploadRow(uploadRow('bucket', text, uploadId));
      const request = requestOfRow(requestRow(7, text));
      return (
        keyOfObjectRow(objectRow('bucket', text)) === text &&
        upload.bucket === 'bucket' &&
        upload.key === text &&
        upload.uploadId === uploadId &&
        request.requestId === text &&
        request.period === 7
      );
    })
  );
  t.pass();
  t.end();
});

t.test('the rows of a prefix are those of the keys that start with it', (t) => {
  fc.assert(
    fc.property(key, key, (prefix, text) => {
      const { start, end } = objectRows('bucket', prefix);
      const row = objectRow('bucket', text);
      const isWithin = row >= start && row < end;
      return (
        isWithin === Buffer.from(text).subarray(0, Buffer.byteLength(prefix)).equals(Buffer.from(prefix))
      );
    })
  );
  t.pass();
  t.end();
});

t.test('the next row and the end of a prefix leave nothing out', (t) => {
  t.equal(successor('a'), 'b');
  t.equal(successor('a\u00ff'), 'b');
  t.ok(after('a') > 'a' && after('a') < 'a\u0001');
  t.end();
});
