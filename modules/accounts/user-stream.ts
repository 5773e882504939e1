import type { AccountEvent, TenantEvent, UserEvent } from '@millrace/contracts';
import { type EventBatch, keyOf } from '@millrace/kernel';
import { envelopesOf } from '@millrace/log';
import type { FanOut } from '@millrace/redis';
import type { AccountState } from './zone.ts';

export const channelOf = (user: string) => `users:${user}`;
export const tenantChannel = (tenant: string) => `tenants:${tenant}`;

/** Publishes decided account events to the user’s channel on all servers, and a notice of them to the tenant’s channel. */
export function publishAccount(feed: Pick<FanOut, 'publish'>, batch: EventBatch, { tenant }: Readonly<AccountState>): void {
  const channel = channelOf(keyOf(batch.zone));
  for (const event of batch.events as unknown as AccountEvent[]) {
    const news = newsOf(event);
    if (news) feed.publish(channel, news.event, news.data);
  }
  for (const { id, type, zone, seq, time, correlation } of envelopesOf(batch))
    feed.publish(tenantChannel(tenant), 'decided', {
      id,
      type,
      zone,
      seq,
      occurredAt: time,
      ...(correlation !== undefined && { correlation }),
    } satisfies TenantEvent);
}

function newsOf(event: AccountEvent): { event: UserEvent; data: object } | null {
  switch (event.type) {
    case 'AccountCreated':
      return { event: 'account.created', data: { user: event.user, tenant: event.tenant, createdAt: event.at } };
    case 'AccountRestored':
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
