import t from 'tap';
import { isStoreError } from '../api/index.js';
import { authorise, type Demand } from './authorise.js';
import type { Principal } from './principal.js';

const ROWS: readonly {
  readonly name: string;
  readonly key: Pick<Principal, 'access' | 'buckets'>;
  readonly demand: Demand;
  readonly isAllowed: boolean;
}[] = [
  {
    name: 'a reader reads',
    key: { access: 'read' },
    demand: { access: 'read', buckets: ['a'] },
    isAllowed: true
  },
  {
    name: 'a reader writes',
    key: { access: 'read' },
    demand: { access: 'write', buckets: ['a'] },
    isAllowed: false
  },
  {
    name: 'a writer rules',
    key: { access: 'write' },
    demand: { access: 'admin', buckets: ['a'] },
    isAllowed: false
  },
  {
    name: 'an admin writes',
    key: { access: 'admin' },
    demand: { access: 'write', buckets: ['a'] },
    isAllowed: true
  },
  {
    name: 'in scope',
    key: { access: 'write', buckets: new Set(['a', 'b']) },
    demand: { access: 'write', buckets: ['a', 'b'] },
    isAllowed: true
  },
  {
    name: 'one of two out of scope',
    key: { access: 'write', buckets: new Set(['a']) },
    demand: { access: 'read', buckets: ['a', 'b'] },
    isAllowed: false
  },
  {
    name: 'a scoped admin about everything',
    key: { access: 'admin', buckets: new Set(['a']) },
    demand: { access: 'admin', buckets: undefined },
    isAllowed: false
  },
  {
    name: 'a scoped key about no bucket',
    key: { access: 'read', buckets: new Set(['a']) },
    demand: { access: 'read', buckets: [] },
    isAllowed: true
  },
  {
    name: 'a key for no bucket',
    key: { access: 'admin', buckets: new Set() },
    demand: { access: 'read', buckets: ['a'] },
    isAllowed: false
  }
];

for (const { name, key, demand, isAllowed } of ROWS) {
  t.test(`${name}: ${isAllowed ? 'allowed' : 'refused'}`, async (t) => {
    const attempt = async () => authorise({ accessKey: 'k', account: 'a', ...key }, demand);
    const error = await attempt().catch((error: unknown) => error);
    t.equal(isStoreError(error, 'AccessDenied'), !isAllowed);
  });
}
