import type { AccountEvent, UserEvent } from '@millrace/contracts';
import { type EventBatch, keyOf, kindOf } from '@millrace/kernel';
import type { Hub } from '@millrace/platform/streams';
import { accountZone } from './zone.ts';

export const channelOf = (user: string) => `users:${user}`;

/** Tells a user, wherever it watches, what was decided about its account. What nobody watches is not even put together. */
export function publishAccount(hub: Hub, batch: EventBatch): void {
  if (kindOf(batch.zone) !== accountZone.kind) return;
  const channel = channelOf(keyOf(batch.zone));
  if (!hub.isWanted(channel)) return;
  for (const event of batch.events as unknown as AccountEvent[]) {
    const news = newsOf(event);
    if (news) hub.publish(channel, 'lossless', news.event, '', news.data);
  }
}

function newsOf(event: AccountEvent): { event: UserEvent; data: object } | null {
  switch (event.type) {
    case 'AccountCreated':
      return { event: 'account.created', data: { user: event.user, tenant: event.tenant, at: event.at } };
    case 'AccountSnapshotRequested':
      return null;
    case 'AccountSnapshotProgressed':
      return { event: 'snapshots.progressed', data: event.progress };
    case 'AccountSnapshotGenerated':
      return { event: 'snapshots.generated', data: event.snapshot };
    case 'AccountSnapshotFailed':
      return { event: 'snapshots.failed', data: { request: event.request, reason: event.reason } };
  }
}
