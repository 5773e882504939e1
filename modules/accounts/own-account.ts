import { randomUUID } from 'node:crypto';
import { type AccountStand, ENDPOINTS } from '@millrace/contracts';
import { type ZoneHost, zoneAddress } from '@millrace/kernel';
import { ApiProblem, type Routes } from '@millrace/platform/http';
import type { Hub, InitialEvent } from '@millrace/platform/streams';
import type { Members } from './members.ts';
import { channelOf } from './user-stream.ts';
import { type AccountCommand, type AccountState, accountStand, accountZone } from './zone.ts';

interface OwnAccountParts {
  readonly host: ZoneHost;
  readonly hub: Hub;
  readonly members: Members;
  readonly onTrouble: (message: string, detail: unknown) => void;
}

/** Accounts as zones: opened when someone asks for them, created when there is none yet. */
export class OwnAccounts {
  readonly #parts: OwnAccountParts;

  constructor(parts: OwnAccountParts) {
    this.#parts = parts;
  }

  /** How an account stands; it is there when this resolves. Undefined when there is no such user. @param trace the request’s that asks for it */
  async stand(user: string, trace?: string): Promise<AccountStand | undefined> {
    const { host, members } = this.#parts;
    const zone = zoneAddress(accountZone.kind, user);
    await host.open(zone);
    const state = host.view(zone)?.state as AccountState | undefined;
    if (state?.createdAt === 0) {
      const found = await members.user(user);
      if (!found) return undefined;
      // Whoever comes in twice at once creates it once.
      const command: AccountCommand = { type: 'CreateAccount', user, tenant: found.tenant };
      await host.submit(zone, command, {
        id: 'create',
        actor: user,
        tenant: found.tenant,
        ...(trace !== undefined && { correlation: trace }),
      });
    }
    const now = host.view(zone)?.state as AccountState | undefined;
    return now && accountStand(now);
  }

  /** What a reader of the user’s own stream is told first; what has to be fetched first comes a moment later. */
  events(user: string): InitialEvent[] {
    const { host, hub, onTrouble } = this.#parts;
    const state = host.view(zoneAddress(accountZone.kind, user))?.state as AccountState | undefined;
    if (state && state.createdAt !== 0) return [{ event: 'account', key: '', data: accountStand(state) }];
    this.stand(user).then(
      (stand) => stand && hub.publish(channelOf(user), 'lossless', 'account', '', stand),
      (error) => onTrouble('an account cannot be opened', error),
    );
    return [];
  }

  register(routes: Routes): void {
    const standOf = async (user: string | null, trace: string): Promise<AccountStand> => {
      const stand = await this.stand(user ?? '', trace).catch((error) => {
        this.#parts.onTrouble('an account cannot be opened', error);
        throw new ApiProblem('TABLES_AWAY', 'The account cannot be opened now.', 'Try again in a moment.');
      });
      if (!stand) throw new ApiProblem('UNKNOWN_USER', `There is no user "${user}".`, 'Sign in again.');
      return stand;
    };
    routes.answer(ENDPOINTS.getAccountSnapshot, ({ principal, raw }) => standOf(principal.user, raw.id));
    routes.answer(ENDPOINTS.regenerateSnapshot, async ({ principal, raw }) => {
      const { user } = await standOf(principal.user, raw.id);
      const command: AccountCommand = { type: 'RequestSnapshot', request: randomUUID() };
      const reply = await this.#parts.host.submit(zoneAddress(accountZone.kind, user), command, {
        actor: user,
        tenant: principal.tenant,
        correlation: raw.id,
      });
      if (!reply.ok) throw new ApiProblem('WRONG_STATE', reply.message, 'Wait for snapshots.generated on the channel user.');
      return standOf(user, raw.id);
    });
  }
}
