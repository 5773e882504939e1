import { WORLD_REFUSALS, type WorldEvent, type WorldRefusal } from '@millrace/contracts';
import type { Context } from '@millrace/kernel';

/** Context of decisions of a world zone, in addition to state and command. */
export type WorldContext = Context<WorldEvent>;

/** Refuses a command: with the text of the code, and the values that are wrong. */
export function refuse(context: WorldContext, code: WorldRefusal, detail: string): void {
  context.refuse(code, `${WORLD_REFUSALS[code].description} ${detail}`);
}
