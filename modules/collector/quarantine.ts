import type { QuarantinedFrame } from '@millrace/contracts';
import { shortened } from './shortened.ts';

/** Refused frames that are kept, and how much of each, and of the detail. */
const FRAMES_MAX = 200;
const CHARACTERS_MAX = 512;

/** Refused frames: the newest of them, and how many there were for each reason. */
export class Quarantine {
  /** Newest first. */
  readonly frames: QuarantinedFrame[] = [];
  readonly countBy: Record<string, number> = {};

  /** @param receivedAt epoch ms */
  add(reason: string, detail: string, { frame, receivedAt }: { readonly frame: string; readonly receivedAt: number }): void {
    this.countBy[reason] = (this.countBy[reason] ?? 0) + 1;
    if (this.frames.length >= FRAMES_MAX) this.frames.pop();
    this.frames.unshift({
      receivedAt,
      reason,
      detail: shortened(detail, CHARACTERS_MAX),
      frame: frame.slice(0, CHARACTERS_MAX),
      bytes: Buffer.byteLength(frame),
    });
  }
}
