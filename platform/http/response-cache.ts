import { hash } from 'node:crypto';
import type { CacheRule } from '@millrace/contracts';

/** Answers kept; beyond it the one longest unasked for is let go of. */
const ANSWERS_MAX = 2_000;
const BYTES_MAX = 64 * 1024 * 1024;

export interface CachedResponse {
  readonly body: string;
  readonly etag: string;
}

interface Entry {
  answer: CachedResponse | null;
  madeAt: number;
  tag: string;
  /** Whoever asks meanwhile waits for the same. */
  making: Promise<CachedResponse> | null;
}

export interface CacheStats {
  readonly responses: number;
  readonly bytes: number;
  readonly hits: number;
  readonly stale: number;
  readonly misses: number;
  readonly invalidated: number;
}

/**
 * Answers that were given, to be given again: to the same question, as long as no event has touched what it is about. What is told on a channel
 * is therefore never newer than what is answered.
 */
export class ResponseCache {
  readonly #now: () => number;
  readonly #entries = new Map<string, Entry>();
  readonly #byTag = new Map<string, Set<string>>();
  #bytes = 0;
  #hits = 0;
  #stale = 0;
  #misses = 0;
  #invalidated = 0;

  /** @param now milliseconds of a clock that never goes back */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** The answer to a question, made anew where there is none that counts. However many ask at once, it is made once. */
  async answer(
    question: string,
    tag: string,
    { maxAgeMs, staleMs }: Pick<CacheRule, 'maxAgeMs' | 'staleMs'>,
    make: () => Promise<unknown>,
  ): Promise<CachedResponse> {
    const entry = this.#entries.get(question);
    const age = entry?.answer ? this.#now() - entry.madeAt : Number.POSITIVE_INFINITY;
    if (entry?.answer && age <= maxAgeMs) {
      this.#hits++;
      return entry.answer;
    }
    if (entry?.answer && age <= maxAgeMs + staleMs) {
      this.#stale++;
      // Whoever asks next gets what comes of this; if nothing does, the old one for a while longer.
      entry.making ??= this.#make(question, entry, make);
      entry.making.catch(() => {});
      return entry.answer;
    }
    // One is made for all who ask meanwhile.
    if (entry && entry.making !== null) {
      this.#hits++;
      return entry.making;
    }
    this.#misses++;
    const fresh: Entry = { answer: null, madeAt: 0, tag, making: null };
    this.#drop(question);
    this.#entries.set(question, fresh);
    this.#tagged(tag).add(question);
    fresh.making = this.#make(question, fresh, make);
    return fresh.making;
  }

  /** Something has happened to what answers with that tag are about. */
  invalidate(tag: string): void {
    const questions = this.#byTag.get(tag);
    if (!questions) return;
    for (const question of [...questions]) this.#drop(question);
    this.#invalidated++;
  }

  stats(): CacheStats {
    return {
      responses: this.#entries.size,
      bytes: this.#bytes,
      hits: this.#hits,
      stale: this.#stale,
      misses: this.#misses,
      invalidated: this.#invalidated,
    };
  }

  async #make(question: string, entry: Entry, make: () => Promise<unknown>): Promise<CachedResponse> {
    try {
      const body = JSON.stringify(await make());
      const answer = { body, etag: `"${hash('sha1', body, 'base64url')}"` };
      // Something has happened meanwhile: this may be of before. It is good for those who asked before, and for nobody else.
      if (this.#entries.get(question) !== entry) return answer;
      this.#bytes += body.length - (entry.answer?.body.length ?? 0);
      entry.answer = answer;
      entry.madeAt = this.#now();
      entry.making = null;
      this.#bound();
      return answer;
    } catch (error) {
      if (this.#entries.get(question) === entry) {
        entry.making = null;
        if (!entry.answer) this.#drop(question);
      }
      throw error;
    }
  }

  #bound(): void {
    for (const [question, { answer }] of this.#entries) {
      if (this.#entries.size <= ANSWERS_MAX && this.#bytes <= BYTES_MAX) return;
      if (answer) this.#drop(question);
    }
  }

  #drop(question: string): void {
    const entry = this.#entries.get(question);
    if (!entry) return;
    this.#entries.delete(question);
    this.#bytes -= entry.answer?.body.length ?? 0;
    const questions = this.#byTag.get(entry.tag);
    questions?.delete(question);
    if (questions?.size === 0) this.#byTag.delete(entry.tag);
  }

  #tagged(tag: string): Set<string> {
    let questions = this.#byTag.get(tag);
    if (!questions) {
      questions = new Set();
      this.#byTag.set(tag, questions);
    }
    return questions;
  }
}
