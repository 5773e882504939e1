import {
  type ClientFrame,
  FrameSplitter,
  type PlayerId,
  SERVER_FRAME_BYTES_MAX,
  type ServerFrame,
  type WorldEvent,
  type ZoneId,
} from '@millrace/contracts';
import { ZoneHost, zoneAddress } from '@millrace/kernel';
import { ManualClock, MemoryLog, MemorySnapshots, MemorySpools, openNumbers } from '@millrace/kernel/testing';
import { Gateway, type HostPort, type World, worldZone } from '@millrace/worlds';
import { WorldHost } from '@millrace/worlds/world-host';
import { pack, unpack } from 'msgpackr';

/** Link between the gateway and the host of a world in memory. */
interface HostLink {
  /** Delay of the messages of the host, ms. They stay in order, except `astray`, which has none. */
  lateMs: number;
  /** Whether a message of the gateway is lost. */
  loses: (message: Parameters<HostPort['send']>[0]) => boolean;
}

/** A client connection to a world in memory. */
export interface MemoryClient {
  /** Bytes that the network has not accepted yet. It does not report when it has accepted them. */
  backlog: number;
  readonly received: ServerFrame[];
  say(...frames: ClientFrame[]): void;
  /** Ends the connection, like a network failure. */
  cut(): void;
  /** The newest frame of a type. */
  newest<T extends ServerFrame['t']>(type: T): Extract<ServerFrame, { t: T }> | undefined;
}

export interface MemoryWorld {
  readonly clock: ManualClock;
  readonly gateway: Gateway;
  readonly host: WorldHost;
  readonly zones: ZoneHost;
  readonly link: HostLink;
  /** The host as the gateway sees it. */
  readonly port: HostPort;
  /** Commands that zones have accepted, as `session number`. */
  readonly accepted: ReadonlySet<string>;
  state(zone?: string): World;
  connect(): MemoryClient;
  /** Connects a client and joins with a player’s token. */
  join(player: string): Promise<MemoryClient>;
}

const LIMITS = {
  commandsPerSecond: 1_000,
  commandsBurst: 1_000,
  framesPerSecond: 10_000,
  connectionsMax: 1_000,
  connectionsPerAddress: 1_000,
  limitLoopback: false,
};

/** Opens a world of one row of zones on a manual clock: the gateway, the host and the zones are the real ones, the stores are in memory. */
export async function openMemoryWorld({ columns = 1, lingerMs = 5_000 } = {}): Promise<MemoryWorld> {
  const clock = new ManualClock();
  const names = Array.from({ length: columns }, (_none, column) => `${column}-0` as ZoneId);
  let secrets = 0;
  const gateway = new Gateway({
    clock,
    zones: names,
    limits: { ...LIMITS, lingerMs },
    verify: async (token) => ({ player: token as PlayerId, name: token, user: null }),
    mayPlay: async () => true,
    secret: () => `secret-${++secrets}`,
    busy: () => 0,
  });
  const link: HostLink = { lateMs: 0, loses: () => false };
  let free = 0;
  const port: HostPort = { id: 'host', send: (message) => clock.soon(() => link.loses(message) || host.receive(message)) };
  const host: WorldHost = new WorldHost({
    clock,
    plan: { seed: 7, columns, rows: 1, monsters: 0, items: 0 },
    send: (message) => {
      if (link.lateMs > 0 && message.type !== 'astray') free = Math.max(free, clock.elapsed() + link.lateMs);
      clock.after(Math.max(0, free - clock.elapsed()), () => gateway.received(port, message));
    },
  });
  const stores = { log: new MemoryLog(), spools: new MemorySpools(1_000_000), hot: new MemorySnapshots(), cold: new MemorySnapshots() };
  const accepted = new Set<string>();
  const sessions = new Map<PlayerId, string>();
  const onDecided: typeof host.hooks.onDecided = (batch, state) => {
    for (const event of batch.events as unknown as WorldEvent[]) {
      if (event.type === 'PlayerJoined') sessions.set(event.player.id, event.player.presence.session);
      if (event.type === 'PlayerWoke') sessions.set(event.player, event.session);
      if ('n' in event) accepted.add(`${sessions.get('handover' in event ? event.handover.player.id : event.player)} ${event.n}`);
    }
    host.hooks.onDecided?.(batch, state);
  };
  const zones = new ZoneHost({ ...stores, clock, random: openNumbers, ...host.hooks, onDecided });
  host.run(zones);
  for (const zone of names) {
    const address = zoneAddress(worldZone.kind, zone);
    const opened = zones.open(address);
    await clock.settle();
    await opened;
    host.opened(address);
    gateway.placed(zone, port);
  }
  await clock.advance(1_000);
  const connect = () => connectTo(gateway);
  return {
    clock,
    gateway,
    host,
    zones,
    link,
    port,
    accepted,
    connect,
    state: (zone = '0-0') => zones.view(zoneAddress(worldZone.kind, zone as ZoneId))?.state as World,
    join: async (player) => {
      const client = connect();
      client.say({ t: 'hello', v: 1, token: player });
      await clock.advance(10);
      client.say({ t: 'join', n: 1 });
      await clock.advance(300);
      return client;
    },
  };
}

function connectTo(gateway: Gateway): MemoryClient {
  const received: ServerFrame[] = [];
  const splitter = new FrameSplitter(SERVER_FRAME_BYTES_MAX);
  const connection = gateway.connect({
    send: (bytes) => splitter.push(bytes, (body) => received.push(unpack(body) as ServerFrame)),
    backlog: () => client.backlog,
    end: () => {},
    remote: '10.0.0.1',
  });
  const client: MemoryClient = {
    backlog: 0,
    received,
    say: (...frames) => {
      for (const frame of frames) connection?.receiveBody(pack(frame));
    },
    cut: () => connection?.closed(),
    newest: <T extends ServerFrame['t']>(type: T) =>
      received.findLast((frame): frame is Extract<ServerFrame, { t: T }> => frame.t === type),
  };
  return client;
}
