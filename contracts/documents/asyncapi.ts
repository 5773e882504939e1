import type { TSchema } from 'typebox';
import { type ModuleContract, payloadOf } from '../module.ts';
import { CONTRACTS } from '../modules.ts';
import { GapNotice, SocketEvent, SocketReply, SocketRequest } from '../stream.ts';

const VERSION = '0.1.0';

/** AsyncAPI 3 document of the channels of the modules. The channels are the same over server-sent events and WebSocket. */
export function asyncApiDocument(contracts: readonly ModuleContract[] = CONTRACTS): object {
  const channels: Record<string, object> = {};
  const operations: Record<string, object> = {};
  const messages: Record<string, object> = {};
  for (const [kind, channel] of contracts.flatMap(({ channels = {} }) => Object.entries(channels))) {
    const { name, delivery, carries } = channel;
    const parameters = Object.fromEntries(
      [...name.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => [parameter, { description: `The ${parameter}.` }]),
    );
    messages[kind] = { name: kind, title: `An event of ${name}`, contentType: 'application/json', payload: plain(payloadOf(channel)) };
    channels[kind] = {
      address: name,
      description: `${delivery}: ${carries}.`,
      ...(Object.keys(parameters).length > 0 && { parameters }),
      messages: { [kind]: { $ref: `#/components/messages/${kind}` }, gap: { $ref: '#/components/messages/gap' } },
    };
    operations[`receive-${kind}`] = { action: 'send', channel: { $ref: `#/channels/${kind}` }, summary: `Receive events of ${name}` };
  }
  messages.gap = { name: 'gap', title: 'Events were missed', contentType: 'application/json', payload: plain(GapNotice) };
  for (const [name, schema] of Object.entries({ socketRequest: SocketRequest, socketReply: SocketReply, socketEvent: SocketEvent }))
    messages[name] = {
      name,
      title: (schema as { description?: string }).description ?? name,
      contentType: 'application/json',
      payload: plain(schema),
    };
  channels.socket = {
    address: '/api/v1/socket',
    description: 'The WebSocket: requests, their replies, and the events of the subscribed channels.',
    messages: Object.fromEntries(
      ['socketRequest', 'socketReply', 'socketEvent'].map((name) => [name, { $ref: `#/components/messages/${name}` }]),
    ),
  };
  operations.request = { action: 'receive', channel: { $ref: '#/channels/socket' }, summary: 'Subscribe, unsubscribe, ping' };
  return {
    asyncapi: '3.0.0',
    info: { title: 'Millrace streams', version: VERSION, license: { name: 'Apache-2.0' } },
    servers: { embedded: { host: 'localhost:7420', protocol: 'ws', description: 'A server with the default configuration' } },
    channels,
    operations,
    components: { messages },
  };
}

function plain(schema: TSchema): object {
  return JSON.parse(JSON.stringify(schema, (key, value) => (key === '$id' ? undefined : value)));
}
