import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MillraceError } from '@millrace/client';
import { stateAfter } from './connection-state.ts';

const error = new MillraceError({ code: 'FORBIDDEN', detail: '', remedy: '', status: 403 });

test('an error stays until the stream is live, and is not that of the next channels', () => {
  const waiting = stateAfter({ status: 'connecting', error: null }, 'waiting', error);
  assert.deepEqual(waiting, { status: 'waiting', error });
  assert.deepEqual(stateAfter(waiting, 'closed', null), { status: 'closed', error });
  assert.deepEqual(stateAfter(waiting, 'live', null), { status: 'live', error: null });
  assert.deepEqual(stateAfter(waiting, 'connecting', null), { status: 'connecting', error: null });
});
