import type { Port } from '@millrace/contracts';
import type { ModuleDefinition } from './module.ts';

/**
 * Sorts modules so that each comes after the modules whose ports it needs or uses. The order is otherwise unchanged.
 * @throws TypeError for a duplicate module name or port, for a needed port that no module provides, and for a cycle
 */
export function orderModules(modules: readonly ModuleDefinition[]): ModuleDefinition[] {
  const providers = providersOf(modules);
  const ordered: ModuleDefinition[] = [];
  const visiting: ModuleDefinition[] = [];
  const visit = (module: ModuleDefinition): void => {
    if (ordered.includes(module)) return;
    if (visiting.includes(module))
      throw new TypeError(`Modules need each other: ${[...visiting, module].map(({ contract }) => contract.name).join(' → ')}.`);
    visiting.push(module);
    for (const port of module.needs ?? []) {
      const provider = providers.get(port.name);
      if (!provider)
        throw new TypeError(
          `Module "${module.contract.name}" needs the port "${port.name}", which no enabled module provides. Enable one that does.`,
        );
      visit(provider);
    }
    for (const port of module.uses ?? []) {
      const provider = providers.get(port.name);
      if (provider) visit(provider);
    }
    visiting.pop();
    ordered.push(module);
  };
  for (const module of modules) visit(module);
  return ordered;
}

function providersOf(modules: readonly ModuleDefinition[]): ReadonlyMap<string, ModuleDefinition> {
  const providers = new Map<string, ModuleDefinition>();
  const names = new Set<string>();
  for (const module of modules) {
    const { name } = module.contract;
    if (names.has(name)) throw new TypeError(`Two modules have the name "${name}".`);
    names.add(name);
    for (const port of (module.provides ?? []) as readonly Port<unknown>[]) {
      const other = providers.get(port.name);
      if (other) throw new TypeError(`Modules "${other.contract.name}" and "${name}" both provide the port "${port.name}".`);
      providers.set(port.name, module);
    }
  }
  return providers;
}
