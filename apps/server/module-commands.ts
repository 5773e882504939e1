import type { CommandContext, CommandDefinition, ModuleDefinition } from '@millrace/module';
import { Command } from 'commander';

export { Command };

/** Creates the context of a command from the values of its common options. */
export type ContextOf = (flags: Readonly<Record<string, unknown>>) => CommandContext;

/**
 * Adds the commands of modules to the command line.
 * @param serving adds the options that all commands with a configuration have
 * @throws TypeError when a module declares a group that exists already
 */
export function addModuleCommands(
  program: Command,
  modules: readonly ModuleDefinition[],
  serving: (command: Command) => Command,
  contextOf: ContextOf,
): void {
  for (const { contract, commands: groups = {} } of modules)
    for (const [name, { summary, commands }] of Object.entries(groups)) {
      if (program.commands.some((existing) => existing.name() === name))
        throw new TypeError(`Module "${contract.name}" declares the commands "${name}", which exist already. Rename the group.`);
      const group = program.command(name).description(summary);
      for (const [verb, definition] of Object.entries(commands)) addCommand(serving(group.command(verb)), definition, contextOf);
    }
}

function addCommand(command: Command, definition: CommandDefinition, contextOf: ContextOf): void {
  const names = Object.keys(definition.arguments ?? {});
  command.description(definition.summary);
  for (const [name, description] of Object.entries(definition.arguments ?? {})) command.argument(`<${name}>`, description);
  for (const [name, option] of Object.entries(definition.options ?? {}))
    command.option(`--${name} <${option.value}>`, option.summary, option.default);
  command.action(async () => {
    const flags = command.opts();
    const values = Object.fromEntries(names.map((name, index) => [name, command.args[index]]));
    await definition.run(contextOf(flags), { ...flags, ...values });
  });
}
