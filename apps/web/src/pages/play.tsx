import type { PlayerToken, World } from '@millrace/contracts';
import { useMutation, useQuery } from '@tanstack/react-query';
import { type FormEvent, type RefObject, useEffect, useLayoutEffect, useRef, useState } from 'react';
import { api } from '../api.ts';
import { useIsLost } from '../live/connection.ts';
import { Button, Input, Outcome, Panel } from '../parts/controls.tsx';
import { Failure, Notice } from '../parts/notice.tsx';
import { useFormats } from '../parts/numbers.ts';
import { StatTile } from '../parts/stat-tile.tsx';
import { useText } from '../text/text.ts';
import { draw, drawRefusal, drawWish } from '../world/drawing.ts';
import { PlayerLink, type PlayStatus, REFUSAL_MS } from '../world/player-link.ts';
import { WorldTabs } from '../world/world-tabs.tsx';

/** Side of the visible part of the world, cm: the range of view on either side. */
const PICTURE = 3_200;
/** Distance of the jump that the cheat button tries, cm. */
const CHEAT = 1_000;
const KEPT = 'millrace.player';

const KEYS: Readonly<Record<string, readonly [x: number, y: number]>> = {
  KeyW: [0, -1],
  ArrowUp: [0, -1],
  KeyS: [0, 1],
  ArrowDown: [0, 1],
  KeyA: [-1, 0],
  ArrowLeft: [-1, 0],
  KeyD: [1, 0],
  ArrowRight: [1, 0],
};

/** Page to play in the world. It draws only state that the server has confirmed. */
export function PlayPage() {
  const text = useText();
  const world = useQuery({ queryKey: ['world'], queryFn: api.world });
  const [me, setMe] = useState<PlayerToken | null>(() => JSON.parse(sessionStorage.getItem(KEPT) ?? 'null'));
  const become = (player: PlayerToken | null) => {
    if (player) sessionStorage.setItem(KEPT, JSON.stringify(player));
    else sessionStorage.removeItem(KEPT);
    setMe(player);
  };
  return (
    <>
      <WorldTabs />
      {world.isLoadingError ? (
        <Failure error={world.error} onRetry={() => void world.refetch()} />
      ) : !world.data ? (
        <Notice title={text.loading} />
      ) : me ? (
        <Playing key={me.player} me={me} world={world.data} onLeave={() => become(null)} />
      ) : (
        <Entrance onEnter={become} />
      )}
    </>
  );
}

function Entrance({ onEnter }: { onEnter: (player: PlayerToken) => void }) {
  const text = useText();
  const [name, setName] = useState('');
  const enter = useMutation({ mutationFn: () => api.newPlayer(name.trim()), onSuccess: onEnter });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    enter.mutate();
  };
  return (
    <div className="grid flex-1 place-items-center py-10">
      <form onSubmit={submit} className="grid w-full max-w-sm gap-3 rounded-lg border border-line bg-surface p-5">
        <h1 className="font-semibold">{text.enterTheWorld}</h1>
        <p className="text-muted text-sm">{text.enterHint}</p>
        <Input label={text.yourName} value={name} required maxLength={24} onChange={(event) => setName(event.target.value)} />
        <Button type="submit" tone="main" disabled={enter.isPending || name.trim() === ''}>
          {text.enter}
        </Button>
        <Outcome error={enter.error} />
      </form>
    </div>
  );
}

function Playing({ me, world, onLeave }: { me: PlayerToken; world: World; onLeave: () => void }) {
  const text = useText();
  const canvas = useRef<HTMLCanvasElement>(null);
  const [link, setLink] = useState<PlayerLink | null>(null);
  const [status, setStatus] = useState<PlayStatus | null>(null);
  useEffect(() => {
    const opened = new PlayerLink(me.token, world.socketPath, setStatus);
    setLink(opened);
    return () => opened.close();
  }, [me.token, world.socketPath]);
  useKeys(link);
  usePicture(link, canvas, me.player);
  const you = link?.client.you;
  if (status?.ended) return <Notice title={text.sessionEnded} hint={status.ended} onRetry={onLeave} />;
  return (
    <div className="grid gap-3 lg:grid-cols-[minmax(0,1fr)_minmax(300px,34%)]">
      <section className="rounded-lg border border-line bg-surface p-3">
        <div className="relative mx-auto max-w-[min(100%,calc(100dvh-160px))]">
          <canvas ref={canvas} role="img" aria-label={text.theWorldAround} className="block aspect-square w-full rounded-md" />
          <State status={status} />
          <Pad onWalk={(x, y) => link?.walk(x, y)} />
        </div>
        <p className="mt-2 hidden text-muted text-xs sm:block">{text.playKeys}</p>
      </section>
      <div className="grid content-start gap-3">
        <dl
          className="grid grid-cols-3 gap-x-6 gap-y-3 rounded-lg border border-line bg-surface px-4 py-3"
          data-x={you?.x}
          data-y={you?.y}
          data-refusals={status?.refusals}
        >
          <StatTile name={text.player} value={me.name} />
          <StatTile name={text.zone} value={status?.zone ?? '–'} />
          <StatTile name={text.health} value={`${status?.health ?? '–'} / ${status?.most ?? '–'}`} />
          <StatTile name={text.answer} value={status?.latencyMs === null || !status ? '–' : status.latencyMs.toFixed(1)} unit="ms" />
          <StatTile name={text.inSight} value={String(status?.inSight ?? 0)} />
          <StatTile name={text.refused} value={String(status?.refusals ?? 0)} alarming={(status?.refusals ?? 0) > 0} />
        </dl>
        <div className="flex flex-wrap gap-2">
          <Button onClick={() => void link?.take()}>{text.pickUp} (E)</Button>
          <Button title={text.cheatHint} onClick={() => you && void link?.jump(you.x + CHEAT, you.y)}>
            {text.cheat}
          </Button>
          <Button
            className="ml-auto"
            onClick={() => {
              void link?.client.leave();
              onLeave();
            }}
          >
            {text.leave}
          </Button>
        </div>
        <p className="min-h-5 text-sm text-warn" role="status">
          {status?.lastRefusal && `${status.lastRefusal.code}: ${status.lastRefusal.message}`}
        </p>
        <Bag status={status} link={link} />
        <Talk status={status} link={link} />
      </div>
    </div>
  );
}

/** Keys held together walk diagonally. */
function useKeys(link: PlayerLink | null): void {
  useEffect(() => {
    if (!link) return;
    const held = new Set<string>();
    const walk = () => {
      let [x, y] = [0, 0];
      for (const code of held) {
        x += KEYS[code]?.[0] ?? 0;
        y += KEYS[code]?.[1] ?? 0;
      }
      link.walk(Math.sign(x), Math.sign(y));
    };
    const down = (event: KeyboardEvent) => {
      if (event.target instanceof HTMLInputElement || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.code === 'KeyE' && !event.repeat) return void link.take();
      if (!KEYS[event.code]) return;
      event.preventDefault();
      held.add(event.code);
      walk();
    };
    const up = (event: KeyboardEvent) => {
      held.delete(event.code);
      walk();
    };
    const none = () => {
      held.clear();
      walk();
    };
    addEventListener('keydown', down);
    addEventListener('keyup', up);
    addEventListener('blur', none);
    return () => {
      removeEventListener('keydown', down);
      removeEventListener('keyup', up);
      removeEventListener('blur', none);
    };
  }, [link]);
}

/** Draws the world around the player, once per animation frame. */
function usePicture(link: PlayerLink | null, canvas: RefObject<HTMLCanvasElement | null>, me: string): void {
  useEffect(() => {
    if (!link) return;
    let frame = 0;
    const show = () => {
      frame = requestAnimationFrame(show);
      const at = link.position();
      const { zone, objects } = link.client;
      if (!canvas.current || !at || !zone) return;
      const view = { left: at.x - PICTURE / 2, top: at.y - PICTURE / 2, span: PICTURE };
      const others = [...objects.values()].filter(({ id }) => id !== me);
      const mine = { id: me, kind: 'player', name: link.client.you?.name ?? '', health: link.client.you?.health ?? 0, ...at };
      draw(canvas.current, { frame: view, ground: zone, objects: [...others, mine], marked: me });
      if (link.wish) drawWish(canvas.current, view, at, link.wish);
      const age = link.refused === null ? 1 : (performance.now() - link.refused.at) / REFUSAL_MS;
      if (link.refused && age < 1) drawRefusal(canvas.current, view, at, link.refused, age);
    };
    show();
    return () => cancelAnimationFrame(frame);
  }, [link, canvas, me]);
}

function State({ status }: { status: PlayStatus | null }) {
  const text = useText();
  const state = status?.state ?? 'connecting';
  const isLost = useIsLost();
  const isIn = state === 'joined' && !isLost;
  return (
    <p
      data-state={state}
      className={`absolute top-2 left-2 rounded-full px-2.5 py-0.5 text-xs ${isIn ? 'bg-accent-soft text-accent' : 'bg-warn-soft text-warn'}`}
    >
      {isLost ? text.reconnecting : isIn ? text.inTheWorld : state === 'online' ? text.entering : text.connecting}
    </p>
  );
}

/** Direction buttons for devices without a keyboard. */
function Pad({ onWalk }: { onWalk: (x: number, y: number) => void }) {
  const text = useText();
  const arrow = (label: string, name: string, x: number, y: number, place: string) => (
    <button
      type="button"
      aria-label={name}
      onPointerDown={() => onWalk(x, y)}
      onPointerUp={() => onWalk(0, 0)}
      onPointerLeave={() => onWalk(0, 0)}
      className={`grid size-11 touch-none select-none place-items-center rounded-md bg-surface/80 text-lg ${place}`}
    >
      {label}
    </button>
  );
  return (
    <div className="absolute right-2 bottom-2 grid grid-cols-3 grid-rows-3 sm:hidden">
      {arrow('↑', text.north, 0, -1, 'col-start-2 row-start-1')}
      {arrow('←', text.west, -1, 0, 'col-start-1 row-start-2')}
      {arrow('→', text.east, 1, 0, 'col-start-3 row-start-2')}
      {arrow('↓', text.south, 0, 1, 'col-start-2 row-start-3')}
    </div>
  );
}

function Bag({ status, link }: { status: PlayStatus | null; link: PlayerLink | null }) {
  const text = useText();
  const items = status?.bag ?? [];
  return (
    <Panel title={text.bag}>
      <div className="flex min-h-10 flex-wrap gap-2 px-4 pb-3">
        {items.map(({ id, item }) => (
          <Button key={id} onClick={() => void link?.client.use(id)}>
            {text[ITEM_TEXT[item as keyof typeof ITEM_TEXT] ?? 'item']}
          </Button>
        ))}
        {items.length === 0 && <p className="text-muted text-sm">{text.bagEmpty}</p>}
      </div>
    </Panel>
  );
}

const ITEM_TEXT = { apple: 'apple', boots: 'boots', mushroom: 'mushroom' } as const;

function Talk({ status, link }: { status: PlayStatus | null; link: PlayerLink | null }) {
  const text = useText();
  const { clock } = useFormats();
  const [words, setWords] = useState('');
  const list = useRef<HTMLOListElement>(null);
  const newest = status?.words.at(-1)?.id;
  // Scrolls the list only: `scrollIntoView` would scroll the page, too.
  useLayoutEffect(() => {
    if (newest !== undefined) list.current?.scrollTo(0, list.current.scrollHeight);
  }, [newest]);
  const say = async (event: FormEvent) => {
    event.preventDefault();
    setWords('');
    const { ok = false } = (await link?.client.say(words)) ?? {};
    // A refused message can be sent again, unless the user has begun another one.
    if (!ok) setWords((typed) => (typed === '' ? words : typed));
  };
  return (
    <Panel title={text.chat}>
      <ol ref={list} className="grid max-h-48 min-h-16 content-start gap-1 overflow-y-auto px-4 text-sm">
        {status?.words.map(({ id, at, kind, from, text: spoken }) => (
          <li key={id} className={kind === 'said' ? '' : 'text-accent'}>
            <span className="text-muted">{clock(at)}</span> {from && <span className="font-medium">{from}:</span>}{' '}
            {kind === 'died' ? text.died : kind === 'revived' ? text.revived : spoken}
          </li>
        ))}
      </ol>
      <form onSubmit={(event) => void say(event)} className="flex gap-2 px-4 pt-2 pb-3">
        <Input
          label={text.saySomething}
          value={words}
          required
          maxLength={200}
          onChange={(event) => setWords(event.target.value)}
          className="flex-1"
        />
        <Button type="submit">{text.say}</Button>
      </form>
    </Panel>
  );
}
