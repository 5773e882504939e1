import { type CommandAnswer, WorldClient, webSocket } from '@millrace/client/world';
import { type SeenObject, ZONE_SIZE } from '@millrace/contracts';

/** Interval of steps while a direction is held, ms. */
const STEP_MS = 100;
/** Time for which a refused step is drawn, ms. */
export const REFUSAL_MS = 900;
/** Duration of the animation between two confirmed positions, ms. */
const GLIDE_MS = STEP_MS;
const WORDS_KEPT = 30;
/** Maximum distance of an item to pick up, cm; the server decides. */
const REACH = 300;

interface Words {
  readonly id: number;
  readonly at: number;
  readonly kind: string;
  readonly from: string | null;
  readonly text: string;
}

/** State for the page around the canvas; the canvas reads the client directly. */
export interface PlayStatus {
  readonly state: WorldClient['state'];
  readonly zone: string | null;
  readonly health: number;
  readonly most: number;
  readonly bag: readonly { id: string; item: string }[];
  readonly inSight: number;
  readonly latencyMs: number | null;
  readonly refusals: number;
  readonly lastRefusal: { code: string; message: string } | null;
  readonly words: readonly Words[];
  readonly ended: string | null;
}

/**
 * Controls a player by keyboard: sends steps, and keeps the confirmed position. The pending step is separate, so
 * that it can be drawn as pending.
 */
export class PlayerLink {
  readonly client: WorldClient;
  /** Target of the step without a reply. */
  wish: { x: number; y: number } | null = null;
  refused: { x: number; y: number; at: number } | null = null;
  #direction = { x: 0, y: 0 };
  #glide = { fromX: 0, fromY: 0, toX: 0, toY: 0, at: 0 };
  #status: PlayStatus;
  readonly #onChange: (status: PlayStatus) => void;
  readonly #timer: ReturnType<typeof setInterval>;
  #numbered = 0;

  constructor(token: string, socketPath: string, onChange: (status: PlayStatus) => void) {
    this.#onChange = onChange;
    this.#status = {
      state: 'connecting',
      zone: null,
      health: 0,
      most: 0,
      bag: [],
      inSight: 0,
      latencyMs: null,
      refusals: 0,
      lastRefusal: null,
      words: [],
      ended: null,
    };
    this.client = new WorldClient({
      connect: webSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}${socketPath}`),
      token,
      onState: (state) => this.#change({ state }),
      onZone: ({ zone, you }) => {
        this.#glide = { fromX: you.x, fromY: you.y, toX: you.x, toY: you.y, at: 0 };
        this.#change({ zone });
      },
      onSight: () => this.#sight(),
      onCorrected: ({ code, message }) => {
        if (this.wish) this.refused = { ...this.wish, at: performance.now() };
        this.#change({ refusals: this.#status.refusals + 1, lastRefusal: { code, message } });
      },
      onNotice: ({ kind, from, text, at }) => this.#hear(kind, from ?? null, text ?? '', at),
      onEnd: (code, message) => this.#change({ ended: `${code}: ${message}` }),
    });
    void this.client.join().then((result) => !result.ok && this.#change({ lastRefusal: result }));
    this.#timer = setInterval(() => void this.#step(), STEP_MS);
  }

  /** Sets the walking direction until the next call: −1, 0 or 1 per axis. */
  walk(x: number, y: number): void {
    this.#direction = { x, y };
  }

  /** Requests a move of any distance, as a cheat would. */
  jump(x: number, y: number): Promise<void> {
    return this.#ask(x, y);
  }

  /** Picks up the nearest item. */
  async take(): Promise<void> {
    const { you, objects } = this.client;
    if (!you) return;
    const far = (object: SeenObject) => Math.hypot(object.x - you.x, object.y - you.y);
    const [nearest] = [...objects.values()]
      .filter((object) => object.kind !== 'player' && object.kind !== 'monster' && far(object) <= REACH)
      .sort((one, other) => far(one) - far(other));
    if (nearest) await this.client.take(nearest.id);
  }

  /** Position to draw the player at: a confirmed one, or interpolated between two. */
  position(): { x: number; y: number } | null {
    const { you } = this.client;
    if (!you) return null;
    if (you.x !== this.#glide.toX || you.y !== this.#glide.toY) {
      const here = this.#glided();
      this.#glide = { fromX: here.x, fromY: here.y, toX: you.x, toY: you.y, at: performance.now() };
    }
    return this.#glided();
  }

  close(): void {
    clearInterval(this.#timer);
    this.client.close();
  }

  #glided(): { x: number; y: number } {
    const { fromX, fromY, toX, toY, at } = this.#glide;
    const share = Math.min(1, (performance.now() - at) / GLIDE_MS);
    return { x: fromX + (toX - fromX) * share, y: fromY + (toY - fromY) * share };
  }

  async #step(): Promise<void> {
    const { x, y } = this.#direction;
    const { you } = this.client;
    if ((x === 0 && y === 0) || !you || this.wish) return;
    const length = (you.speed * STEP_MS) / 1_000 / Math.hypot(x, y);
    const { columns = 1, rows = 1 } = this.client.zone?.plan ?? {};
    const within = (place: number, zones: number) => Math.max(0, Math.min(zones * ZONE_SIZE - 1, Math.round(place)));
    const east = within(you.x + x * length, columns);
    const south = within(you.y + y * length, rows);
    // If one axis is blocked, try the other. If both are, send the step anyway: the server refuses it.
    const ways = [[east, south] as const, [east, you.y] as const, [you.x, south] as const];
    const straight = x === 0 ? ways[2] : ways[1];
    const [toX, toY] = ways.find(([wayX, wayY]) => (wayX !== you.x || wayY !== you.y) && this.client.mayMove(wayX, wayY)) ??
      straight ?? [you.x, you.y];
    if (toX !== you.x || toY !== you.y) await this.#ask(toX, toY);
  }

  async #ask(x: number, y: number): Promise<void> {
    this.wish = { x, y };
    const sentAt = performance.now();
    const result: CommandAnswer = await this.client.move(x, y);
    this.wish = null;
    if (result.ok) this.#change({ latencyMs: performance.now() - sentAt });
  }

  #sight(): void {
    const { you, objects } = this.client;
    if (you) this.#change({ health: you.health, most: you.most, bag: you.bag, inSight: objects.size });
  }

  #hear(kind: string, from: string | null, text: string, at: number): void {
    const words = [...this.#status.words, { id: ++this.#numbered, kind, from, text, at }].slice(-WORDS_KEPT);
    this.#change({ words });
  }

  #change(change: Partial<PlayStatus>): void {
    this.#status = { ...this.#status, ...change };
    this.#onChange(this.#status);
  }
}
