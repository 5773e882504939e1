import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EventBatch } from '@millrace/kernel';
import { envelopesOf } from './envelopes.ts';

test('events of a batch become envelopes with exactly the metadata that they have', () => {
  const meta = { id: 'i', correlation: 'c', actor: 'a', tenant: 't' };
  const batch: EventBatch = {
    zone: 'turnstile/gate',
    epoch: 1,
    firstSeq: 4,
    version: 1,
    time: 4,
    events: [{ type: 'Admitted', people: 4 } as { type: string }, { type: 'Closed' }],
    metas: [meta, null],
  };
  const [full, bare] = [...envelopesOf(batch)];
  assert.deepEqual(full, {
    id: 'turnstile/gate/1/4',
    zone: 'turnstile/gate',
    kind: 'turnstile',
    seq: 4,
    epoch: 1,
    type: 'Admitted',
    version: 1,
    time: 4,
    tenant: 't',
    actor: 'a',
    correlation: 'c',
    causation: 'i',
    data: { people: 4 },
  });
  assert.deepEqual(Object.keys(bare ?? {}), ['id', 'zone', 'kind', 'seq', 'epoch', 'type', 'version', 'time', 'data']);
});
