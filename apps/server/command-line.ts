import { UserError } from '@millrace/base/user-error';
import { ConfigError } from '@millrace/config';
import { SecretError } from '@millrace/secrets';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { OutputFailed, outputWritten, watchOutput } from './commands/output.ts';

const EXIT_USAGE = 2;
/** Commands that go on running. */
const SERVERS: ReadonlySet<string> = new Set(['up', 'replay']);
/** Maximum time that a failed command waits for its open transactions, ms. */
const TRANSACTIONS_MS_MAX = 3_000;
/** EX_SOFTWARE of sysexits.h. */
const EXIT_SOFTWARE = 70;

function portNumber(text: string): number {
  const port = Number(text);
  // Number('') is 0: a variable of the shell that is not set.
  if (!/^\d+$/.test(text) || port > 65_535)
    throw new InvalidArgumentError('A port is a whole number from 0 to 65535; 0 selects a free port.');
  return port;
}

function wholeNumber(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new InvalidArgumentError('It must be a whole number above 0.');
  return number;
}

function speedFactor(text: string): number {
  const speed = text === 'max' ? Number.POSITIVE_INFINITY : Number(text);
  if (!(speed > 0))
    throw new InvalidArgumentError('Speed is a number above 0 (1 is the recorded speed, 10 is ten times as fast) or "max".');
  return speed;
}

const program = new Command('millrace')
  .description('Live data in, decisions in memory, every change streamed within milliseconds.')
  .exitOverride();

const serving = (command: Command) =>
  command
    .option('--config <file>', 'configuration file (default: millrace.config.json)')
    .option('--data <folder>', 'data folder: log, snapshots, series')
    .option('--host <address>', 'address to listen on')
    .option('--port <number>', 'port to listen on; 0 selects a free port', portNumber)
    .option('--demo', 'no users: every user of this machine is the owner; other machines cannot connect');

serving(program.command('up'))
  .addOption(new Option('--role <role>', 'role of this process').choices(['all', 'gateway']))
  .description('start the server; with --role gateway, start a gateway in front of other servers')
  .action(async (flags) => (await import('./commands/up.ts')).up(flags));

serving(program.command('replay'))
  .argument('<frames>', 'a file of recorded frames')
  .requiredOption('--source <type>', 'venue of the frames: binance, binance-futures, coinbase, kraken or upbit')
  .option('--speed <factor>', 'replay speed: 1 is the recorded speed, max is as fast as possible', speedFactor, 1)
  .option('--exit', 'print the statistics and exit at the end of the file')
  .description('feed recorded frames through the real adapter and serve the resulting data')
  .action(async (frames, flags) => (await import('./commands/replay.ts')).replay(frames, flags));

const config = program.command('config').description('check or print the configuration');
serving(config.command('check'))
  .description('check whether the configuration is valid')
  .action(async (flags) => (await import('./commands/config.ts')).check(flags));
serving(config.command('print'))
  .description('print the configuration with all defaults')
  .action(async (flags) => (await import('./commands/config.ts')).print(flags));
config
  .command('schema')
  .description('print the JSON Schema of the configuration')
  .action(async () => (await import('./commands/config.ts')).schema());

serving(program.command('doctor'))
  .option('--repair', 'create a new log from the readable records of a damaged one; the damaged log is kept')
  .option('--candles', 'compare samples of the stored candles with the stored trades, while the server is stopped')
  .option('--from <instrument>', 'with --candles: start with this instrument')
  .option('--seconds <number>', 'with --candles: time limit (default: 60)', wholeNumber)
  .description('check this machine and the data folder')
  .action(async (flags) => (await import('./commands/doctor.ts')).doctor(flags));

serving(program.command('migrate'))
  .addOption(new Option('--to <engine>', 'engine of the log from now on').choices(['kafka']).makeOptionMandatory())
  .description('move the logs of this installation to another engine, while the server is stopped')
  .action(async (flags) => (await import('./commands/migrate.ts')).migrate(flags));

const secrets = program.command('secrets').description('list or rotate the secrets of this installation');
serving(secrets.command('list'))
  .description('list the secrets and the master key that each needs')
  .action(async (flags) => (await import('./commands/secrets.ts')).list(flags));
serving(secrets.command('rotate'))
  .description('encrypt all secrets again with the newest master key')
  .action(async (flags) => (await import('./commands/secrets.ts')).rotate(flags));

program
  .command('swarm')
  .description('run bots in the world and print their statistics')
  .option('--players <number>', 'number of bots', wholeNumber, 100)
  .option('--seconds <number>', 'duration', wholeNumber, 60)
  .option('--server <url>', 'URL of the server', 'http://127.0.0.1:7420')
  .option('--moves <number>', 'moves per bot and second', wholeNumber, 2)
  .option('--processes <number>', 'number of bot processes', wholeNumber, 1)
  .option('--json', 'print the statistics as one line of JSON')
  .option('--key <key>', 'API key with the scope world:play; not needed in demo mode')
  .action(async (flags) => (await import('./commands/swarm.ts')).swarm(flags));

serving(program.command('drill'))
  .option('--players <number>', 'number of bots', wholeNumber, 500)
  .option('--kills <number>', 'number of kills with recovery from hot snapshots; a quarter as many for each other source', wholeNumber, 20)
  .description('kill zone hosts of a separate world and measure the recovery')
  .option('--all-hosts', 'kill all zone hosts at the same moment, instead of one')
  .action(async (flags) => (await import('./commands/drill.ts')).drill(flags));

program
  .command('bench')
  .argument('[names...]', 'names of benchmarks (default: all)')
  .description('run benchmarks and print ratios to a baseline')
  .action(async (names) => (await import('./commands/bench.ts')).bench(names));

watchOutput();
try {
  // Commands of the server start without loading the modules.
  if (!program.commands.some((command) => command.name() === process.argv[2])) await addCommandsOfModules();
  await program.parseAsync();
  // A server goes on without its output.
  if (!SERVERS.has(process.argv[2] ?? '')) await outputWritten();
} catch (error) {
  const status = report(error) || (await helpWritten());
  // A process that exits within a transaction of a shared store is killed, and its exit status lost.
  if (!(error instanceof CommanderError)) await (await import('@millrace/lmdb')).transactionsEnded(TRANSACTIONS_MS_MAX);
  // Resources that were opened before the error would keep the process alive.
  process.exit(status);
}

/** Waits until the text of --help is written. Returns the exit code. */
async function helpWritten(): Promise<number> {
  try {
    await outputWritten();
    return 0;
  } catch (error) {
    return report(error);
  }
}

async function addCommandsOfModules(): Promise<void> {
  const { MODULES } = await import('./modules.ts');
  const { addModuleCommands } = await import('./module-commands.ts');
  const { commandContext } = await import('./commands/module-context.ts');
  addModuleCommands(program, MODULES, serving, commandContext);
}

/** Prints an error and its remedy. Returns the exit code. */
function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
  if (error instanceof OutputFailed && error.exitCode !== 1) return error.exitCode;
  if (error instanceof UserError || error instanceof SecretError) {
    console.error(`millrace: ${error.message}\n  ${error.remedy}`);
    return 1;
  }
  if (error instanceof ConfigError) {
    console.error(`millrace: ${error.message}`);
    return 1;
  }
  console.error('millrace: internal error; please report it.\n', error);
  return EXIT_SOFTWARE;
}
