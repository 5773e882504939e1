export { type Forwarded, type Forwarding, forward, forwardUpgrade } from './forward.ts';
export { type Relay, relayPlayers } from './relay.ts';
export { type BackServer, Servers } from './servers.ts';
export { Vouching } from './vouching.ts';
