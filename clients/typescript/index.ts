export { type ClientOptions, createClient, type Millrace } from './client.ts';
export { accessTokens, apiKey, browserSession, type Credentials, signIn } from './rest/credentials.ts';
export { isFinal, MillraceError } from './rest/error.ts';
export { listAll } from './rest/list-all.ts';
export type { Gap, StreamMessage, StreamStatus } from './streams/message.ts';
export type { WatchOptions } from './streams/streams.ts';
