import { UserError } from '@millrace/base/user-error';
import type { Settings } from '@millrace/config';

/** WebSocket of the world protocol. */
export const WORLD_SOCKET_PATH = '/api/v1/world/socket';

/** Opens the configured port for players. An error for a port in use states what to do. */
export async function openPlayersPort<T>(
  { host, worlds }: Settings,
  open: (address: { readonly host: string; readonly port: number }) => Promise<T>,
): Promise<T> {
  try {
    return await open({ host, port: worlds.tcpPort });
  } catch (error) {
    if ((error as { code?: string }).code === 'EADDRINUSE')
      throw new UserError(
        `port ${worlds.tcpPort} on ${host}, for players, is taken`,
        'Choose another with worlds.tcpPort (0 takes a free one), or stop what uses it.',
      );
    throw error;
  }
}
