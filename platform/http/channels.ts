import { ENDPOINTS } from '@millrace/contracts';
import { type Hub, parsePosition } from '@millrace/streams';
import type { FastifyBaseLogger } from 'fastify';
import { onceClosed } from './closing.ts';
import { ApiProblem } from './problems.ts';
import type { HttpParts } from './server.ts';
import { type ChannelCheck, createSocketServer } from './socket.ts';
import { openEventStream } from './sse.ts';

/** Maximum number of channels of one event stream. */
const CHANNELS_MAX = 256;

export interface ChannelOptions {
  readonly hub: Hub;
  readonly checkChannel: ChannelCheck;
  readonly logger: FastifyBaseLogger;
}

/** Serves the channels of a hub as server-sent events and over WebSocket. The streams end when the server closes. */
export function serveChannels({ app, routes, upgrade, streams, identify }: HttpParts, { hub, checkChannel, logger }: ChannelOptions): void {
  routes.stream(ENDPOINTS.stream, ({ query, raw, reply, principal }) => {
    const names = [...new Set(query.channels.split(',').filter((name) => name !== ''))];
    if (names.length === 0 || names.length > CHANNELS_MAX)
      throw new ApiProblem('UNKNOWN_CHANNEL', `${names.length} channels were given.`, `Give 1 to ${CHANNELS_MAX}, separated by commas.`);
    const channels = names.map((name) => checkChannel(name, principal));
    const last = raw.headers['last-event-id'] ?? query.lastEventId;
    const from = last === undefined || last === '' ? null : parsePosition(String(last));
    if (from === undefined)
      throw new ApiProblem('INVALID_POSITION', `"${String(last)}" is not a valid position.`, 'Use the id of a received event, or omit it.');
    if (!reply.raw.socket && !raw.raw.socket.destroyed)
      throw new ApiProblem(
        'BAD_REQUEST',
        'The stream was requested before the previous response of its connection was finished.',
        'Use a connection of its own for each stream.',
      );
    let end: (reason: string) => void = () => {};
    const registration = streams.begin(principal, raw.ip, 'sse', (reason) => end(reason));
    onceClosed(raw.raw.socket, registration.close);
    const headers = Object.fromEntries(Object.entries(reply.getHeaders()).map(([name, value]) => [name, String(value)]));
    reply.hijack();
    end = openEventStream(raw.raw, reply.raw, hub, channels, from, headers);
  });

  const sockets = createSocketServer(hub, checkChannel, identify, (error) => logger.error({ err: error }, 'a WebSocket request failed'));
  upgrade('/api/v1/socket', 'channels', (request, take) => {
    let end: (reason: string) => void = () => {};
    const registration = streams.begin(request.principal, request.ip, 'websocket', (reason) => end(reason));
    end = sockets.upgrade(request, take(), registration);
  });

  // Before the connections are closed: clients get the reason.
  app.addHook('preClose', async () => {
    hub.close('the server stops');
    sockets.close();
  });
}
