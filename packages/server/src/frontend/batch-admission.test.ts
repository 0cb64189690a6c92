import t from 'tap';
import { isStoreError } from '../api/index.js';
import { BatchAdmission } from './batch-admission.js';

t.test('starts calls as far as their longest answers fit', async (t) => {
  const batch = new BatchAdmission(100);
  const first = await batch.admit(60);
  let isAdmitted = false;
  const second = batch.admit(60).then((answered) => {
    isAdmitted = true;
    return answered;
  });
  await Promise.resolve();
  t.notOk(isAdmitted);
  first(10);
  (await second)(60);
  t.ok(isAdmitted);
});

t.test('fails a call for which the answers that are there leave no room', async (t) => {
  const batch = new BatchAdmission(100);
  (await batch.admit(60))(50);
  const error = await batch.admit(60).catch((error: unknown) => error);
  t.ok(isStoreError(error, 'EntityTooLarge'));
  (await batch.admit(50))(50);
});
