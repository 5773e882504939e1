import { randomUUID } from 'node:crypto';
import { type AccountStatus, ENDPOINTS } from '@millrace/contracts';
import { ApiProblem, type Routes } from '@millrace/http';
import { KERNEL_REFUSALS, type Refused } from '@millrace/kernel';
import type { Hub, InitialEvent } from '@millrace/streams';
import type { Zones } from '@millrace/topics';
import type { AccountRecord, AccountRecords } from './account-records.ts';
import { channelOf } from './user-stream.ts';
import { type AccountCommand, type AccountState, accountStatus, isNewer, isSameSnapshot } from './zone.ts';

interface OwnAccountParts {
  readonly zones: Zones<AccountState, AccountCommand>;
  readonly hub: Hub;
  readonly records: AccountRecords;
  /** Whether other servers use the same tables. */
  readonly isShared: boolean;
  readonly onFailure: (message: string, detail: unknown) => void;
}

/** Accounts as zones, opened on demand. On every server a zone agrees with the record in the relational store. */
export class OwnAccounts {
  readonly #parts: OwnAccountParts;
  /** Users whose account is being read for their channel. */
  readonly #reading = new Set<string>();

  constructor(parts: OwnAccountParts) {
    this.#parts = parts;
  }

  /**
   * The account of a user; undefined for an unknown user. Creates it if no server has, and adopts what another server has recorded.
   * @param trace trace id of the request
   */
  async status(user: string, trace?: string): Promise<AccountStatus | undefined> {
    const { zones, records } = this.#parts;
    const [record] = await Promise.all([records.get(user), zones.open(user)]);
    if (!record) return undefined;
    const state = zones.view(user)?.state;
    if (state && !agrees(state, record)) await this.#complete(user, state, record, trace);
    const now = zones.view(user)?.state;
    return now && accountStatus(now);
  }

  /** Initial events of the private channel of a user. Empty while the account is being read; it is published afterwards. */
  events(user: string): InitialEvent[] {
    const { zones, isShared, onFailure } = this.#parts;
    const state = zones.view(user)?.state;
    // Another server may have recorded a newer snapshot.
    if (state && state.createdAt !== 0 && !isShared) return [{ event: 'account', key: '', data: accountStatus(state) }];
    // Published once, also when several streams begin meanwhile.
    if (this.#reading.has(user)) return [];
    this.#reading.add(user);
    this.status(user)
      .finally(() => this.#reading.delete(user))
      .then(
        (status) => status && this.#publish(user, status),
        (error) => onFailure('an account cannot be opened', error),
      );
    return [];
  }

  /** Creates the account, or updates this server’s log and the record to the newer snapshot of both. */
  async #complete(user: string, state: Readonly<AccountState>, record: AccountRecord, trace: string | undefined): Promise<void> {
    const { zones } = this.#parts;
    const { tenant, createdAt, isCreatedHere } = record;
    const meta = { actor: user, tenant, ...(trace !== undefined && { correlation: trace }) };
    const send = async (command: AccountCommand, id?: string) => {
      const reply = await zones.submit(user, command, { ...meta, ...(id !== undefined && { id }) });
      if (!reply.ok) requireDecided(reply);
    };
    if (state.createdAt === 0 && record.snapshot === null && isCreatedHere) {
      // Concurrent requests create it once.
      await send({ type: 'CreateAccount', user, tenant, createdAt }, 'create');
      return;
    }
    // The table lacks this server’s snapshot when it was restored from an older backup, or did not exist when the snapshot was made.
    const known = state.snapshot;
    const snapshot = known && isNewer(known, record.snapshot) ? await this.#parts.records.restore(user, known) : record.snapshot;
    await send({ type: 'RestoreAccount', user, tenant, createdAt, snapshot });
    const status = zones.view(user)?.state;
    if (status) this.#publish(user, accountStatus(status));
  }

  /** Publishes to the subscribers of this server. Other servers publish to theirs when they adopt the record. */
  #publish(user: string, status: AccountStatus): void {
    this.#parts.hub.publish(channelOf(user), 'lossless', 'account', '', status);
  }

  register(routes: Routes): void {
    const statusOf = async (user: string | null, trace: string): Promise<AccountStatus> => {
      const status = await this.status(user ?? '', trace).catch((error) => {
        if (error instanceof ApiProblem) throw error;
        this.#parts.onFailure('an account cannot be opened', error);
        throw new ApiProblem('DATABASE_UNAVAILABLE', 'The account cannot be read now.', 'Try again in a moment.');
      });
      if (!status) throw new ApiProblem('UNKNOWN_USER', `Unknown user "${user}".`, 'Sign in again.');
      return status;
    };
    routes.handle(ENDPOINTS.getAccountSnapshot, ({ principal, raw }) => statusOf(principal.user, raw.id));
    routes.handle(ENDPOINTS.regenerateSnapshot, async ({ principal, raw }) => {
      const { user } = await statusOf(principal.user, raw.id);
      const command: AccountCommand = { type: 'RequestSnapshot', request: randomUUID() };
      const reply = await this.#parts.zones.submit(user, command, {
        actor: user,
        tenant: principal.tenant,
        correlation: raw.id,
      });
      if (!reply.ok) {
        requireDecided(reply);
        throw new ApiProblem('CONFLICT', reply.message, 'Wait for snapshots.generated on the channel user.');
      }
      return statusOf(user, raw.id);
    });
  }
}

/** @throws ApiProblem ZONE_UNAVAILABLE for a command that the zone has not decided */
function requireDecided({ code, message }: Refused): void {
  if (code in KERNEL_REFUSALS) throw new ApiProblem('ZONE_UNAVAILABLE', message, 'Try again in a moment.');
}

function agrees(state: Readonly<AccountState>, record: AccountRecord): boolean {
  return state.createdAt === record.createdAt && isSameSnapshot(state.snapshot, record.snapshot);
}
