import { type SeenObject, TILE_SIZE, TILES_PER_SIDE, ZONE_SIZE, type ZoneGround } from '@millrace/contracts';

/*
 * Drawing of a zone, for the map of operators and the play page. Positions are centimetres of the world.
 */

/** The visible square of the world: its north-west corner and the length of its side, cm. */
export interface Frame {
  readonly left: number;
  readonly top: number;
  readonly span: number;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Drawn {
  readonly frame: Frame;
  readonly ground: ZoneGround | null;
  readonly objects: Iterable<SeenObject>;
  /** The highlighted player. */
  readonly marked?: string | undefined;
  /** Path of a player: segments, each oldest first. */
  readonly path?: readonly (readonly Point[])[];
}

export function frameOf(zone: string): Frame {
  const [column = 0, row = 0] = zone.split('-').map(Number);
  return { left: column * ZONE_SIZE, top: row * ZONE_SIZE, span: ZONE_SIZE };
}

/** Map of a zone in the format of the API. */
export function groundFrom(zone: string, base64: string): ZoneGround {
  return { zone, blocked: Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)) };
}

/** Fits a canvas to its box and the pixel ratio; returns its side in CSS pixels. */
function fit(canvas: HTMLCanvasElement): number {
  const side = canvas.clientWidth;
  const pixels = Math.round(side * devicePixelRatio);
  if (canvas.width !== pixels) {
    canvas.width = pixels;
    canvas.height = pixels;
  }
  return side;
}

export function draw(canvas: HTMLCanvasElement, { frame, ground, objects, marked, path }: Drawn): void {
  const context = canvas.getContext('2d');
  const side = fit(canvas);
  if (!context || side === 0) return;
  const colour = colours();
  const scale = side / frame.span;
  const place = (x: number, y: number): [number, number] => [(x - frame.left) * scale, (y - frame.top) * scale];
  context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  context.fillStyle = colour.ground;
  context.fillRect(0, 0, side, side);
  if (ground) drawGround(context, ground, colour, place, scale);
  context.strokeStyle = colour.accent;
  context.lineWidth = 1.5;
  context.globalAlpha = 0.6;
  for (const stretch of path ?? []) {
    context.beginPath();
    for (const { x, y } of stretch) context.lineTo(...place(x, y));
    context.stroke();
  }
  context.globalAlpha = 1;
  const size = Math.max(2.5, Math.min(9, 45 * scale));
  for (const object of objects) {
    const [x, y] = place(object.x, object.y);
    if (object.kind === 'monster') diamond(context, x, y, size, colour.alarm);
    else if (object.kind !== 'player') square(context, x, y, size * 0.7, ITEM_COLOURS[object.kind] ?? colour.warn);
  }
  for (const object of objects) {
    if (object.kind !== 'player') continue;
    const [x, y] = place(object.x, object.y);
    const isMarked = object.id === marked;
    disc(context, x, y, isMarked ? size * 1.25 : size, object.health === 0 ? colour.muted : isMarked ? colour.accent : colour.ink);
    if (isMarked || scale > 0.12) label(context, object.name ?? object.id, x, y - size - 4, colour, isMarked);
  }
}

/** Draws a step without a reply: a hollow ring ahead of the player. */
export function drawWish(canvas: HTMLCanvasElement, frame: Frame, from: Point, to: Point): void {
  line(canvas, frame, from, to, colours().muted, 0.7);
}

/** Draws the target of a refused step, fading; `age` from 0 to 1. */
export function drawRefusal(canvas: HTMLCanvasElement, frame: Frame, from: Point, to: Point, age: number): void {
  line(canvas, frame, from, to, colours().alarm, 1 - age);
}

function line(canvas: HTMLCanvasElement, frame: Frame, from: Point, to: Point, colour: string, alpha: number): void {
  const context = canvas.getContext('2d');
  if (!context) return;
  const scale = canvas.clientWidth / frame.span;
  const place = ({ x, y }: Point): [number, number] => [(x - frame.left) * scale, (y - frame.top) * scale];
  context.globalAlpha = alpha;
  context.strokeStyle = colour;
  context.lineWidth = 2;
  context.setLineDash([4, 4]);
  context.beginPath();
  context.moveTo(...place(from));
  context.lineTo(...place(to));
  context.stroke();
  context.setLineDash([]);
  context.beginPath();
  context.arc(...place(to), 8, 0, 2 * Math.PI);
  context.stroke();
  context.globalAlpha = 1;
}

const ITEM_COLOURS: Readonly<Record<string, string>> = { apple: '#5aa64a', boots: '#c98b2c', mushroom: '#9a6bd0' };

interface Colours {
  readonly ground: string;
  readonly wall: string;
  readonly ink: string;
  readonly muted: string;
  readonly accent: string;
  readonly alarm: string;
  readonly warn: string;
  readonly line: string;
}

function colours(): Colours {
  const style = getComputedStyle(document.documentElement);
  const of = (name: string) => style.getPropertyValue(name).trim();
  return {
    ground: of('--raised'),
    wall: of('--wall'),
    ink: of('--ink'),
    muted: of('--muted'),
    accent: of('--accent'),
    alarm: of('--alarm'),
    warn: of('--warn'),
    line: of('--line'),
  };
}

function drawGround(
  context: CanvasRenderingContext2D,
  { zone, blocked }: ZoneGround,
  colour: Colours,
  place: (x: number, y: number) => [number, number],
  scale: number,
): void {
  const { left, top } = frameOf(zone);
  const tile = TILE_SIZE * scale;
  context.fillStyle = colour.wall;
  for (let index = 0; index < TILES_PER_SIDE ** 2; index++) {
    if (((blocked[index >> 3] ?? 0) & (0x80 >> (index & 7))) === 0) continue;
    const [x, y] = place(left + (index % TILES_PER_SIDE) * TILE_SIZE, top + Math.floor(index / TILES_PER_SIDE) * TILE_SIZE);
    context.fillRect(x, y, tile + 0.5, tile + 0.5);
  }
  context.strokeStyle = colour.line;
  context.lineWidth = 1;
  const [x, y] = place(left, top);
  context.strokeRect(x, y, ZONE_SIZE * scale, ZONE_SIZE * scale);
}

function disc(context: CanvasRenderingContext2D, x: number, y: number, radius: number, fill: string): void {
  context.fillStyle = fill;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}

function square(context: CanvasRenderingContext2D, x: number, y: number, radius: number, fill: string): void {
  context.fillStyle = fill;
  context.fillRect(x - radius, y - radius, 2 * radius, 2 * radius);
}

function diamond(context: CanvasRenderingContext2D, x: number, y: number, radius: number, fill: string): void {
  context.fillStyle = fill;
  context.beginPath();
  context.moveTo(x, y - radius);
  context.lineTo(x + radius, y);
  context.lineTo(x, y + radius);
  context.lineTo(x - radius, y);
  context.fill();
}

function label(context: CanvasRenderingContext2D, text: string, x: number, y: number, colour: Colours, isMarked: boolean): void {
  context.font = `${isMarked ? 600 : 400} 11px ${getComputedStyle(document.body).fontFamily}`;
  context.textAlign = 'center';
  context.fillStyle = isMarked ? colour.accent : colour.muted;
  context.fillText(text, x, y);
}
