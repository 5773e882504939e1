import { accountsModule, demoAccountsModule } from '@millrace/accounts';
import { type CollectorChanges, collectorModule } from '@millrace/collector';
import { marketModule } from '@millrace/market';
import type { ModuleDefinition } from '@millrace/module';
import { operationsModule } from '@millrace/operations';
import { worldsModule } from '@millrace/worlds';

/** The modules of Millrace. A module is added with one line here, and its contract with one line in `contracts/modules.ts`. */
export const MODULES: readonly ModuleDefinition[] = modulesWith({});

/** The modules with a changed collector: a replay feeds recorded frames through the real adapters. */
export function modulesWith(collector: CollectorChanges): ModuleDefinition[] {
  return [marketModule, collectorModule(collector), accountsModule, demoAccountsModule, worldsModule, operationsModule];
}
