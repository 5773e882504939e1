import { UserError } from '@millrace/base/user-error';
import { ConfigError } from '@millrace/config';
import { SecretError } from '@millrace/secrets';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';

const EXIT_USAGE = 2;
/** Longest a command that failed waits for its open transactions, ms. */
const TRANSACTIONS_MS_MAX = 3_000;
/** EX_SOFTWARE of sysexits.h. */
const EXIT_SOFTWARE = 70;

function portNumber(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new InvalidArgumentError('A port is a whole number from 0 to 65535; 0 takes a free one.');
  return port;
}

function wholeNumber(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new InvalidArgumentError('It must be a whole number above 0.');
  return number;
}

function speedFactor(text: string): number {
  const speed = text === 'max' ? Number.POSITIVE_INFINITY : Number(text);
  if (!(speed > 0)) throw new InvalidArgumentError('Speed is a number above 0 (1 is as recorded, 10 ten times as fast) or "max".');
  return speed;
}

const program = new Command('millrace').description('Live data in, decisions in memory, everyone told at once.').exitOverride();

const serving = (command: Command) =>
  command
    .option('--config <file>', 'configuration file (default: millrace.config.json)')
    .option('--data <folder>', 'where log, snapshots and series live')
    .option('--host <address>', 'address to serve on')
    .option('--port <number>', 'port to serve on; 0 takes a free one', portNumber)
    .option('--demo', 'no users: everyone on this machine is the owner, and nobody else is let in');

serving(program.command('up'))
  .addOption(new Option('--role <role>', 'what this process does').choices(['all', 'gateway']))
  .description('start every role in this process and serve; with --role gateway, stand before the servers that do')
  .action(async (flags) => (await import('./commands/up.ts')).up(flags));

serving(program.command('replay'))
  .argument('<frames>', 'a file of recorded frames')
  .requiredOption('--source <type>', 'whose frames they are: binance, binance-futures, coinbase, kraken or upbit')
  .option('--speed <factor>', 'how fast: 1 is as recorded, max as fast as possible', speedFactor, 1)
  .option('--exit', 'print the statistics and end when the file is read, instead of serving on')
  .description('feed recorded frames through the real adapter and serve what comes of it')
  .action(async (frames, flags) => (await import('./commands/replay.ts')).replay(frames, flags));

const config = program.command('config').description('look at the configuration');
serving(config.command('check'))
  .description('say whether the configuration can be used')
  .action(async (flags) => (await import('./commands/config.ts')).check(flags));
serving(config.command('print'))
  .description('print the configuration with every default filled in')
  .action(async (flags) => (await import('./commands/config.ts')).print(flags));
config
  .command('schema')
  .description('print the JSON Schema of the configuration')
  .action(async () => (await import('./commands/config.ts')).schema());

serving(program.command('doctor'))
  .option('--repair', 'make a new log of what can be read of a damaged one; the damaged one is kept')
  .option('--candles', 'compare samples of the stored candles with the stored trades, while the server is stopped')
  .option('--from <instrument>', 'with --candles: begin with this instrument')
  .option('--seconds <number>', 'with --candles: how long it may take', wholeNumber, 60)
  .description('check what this machine and the data folder are like')
  .action(async (flags) => (await import('./commands/doctor.ts')).doctor(flags));

const audit = program.command('audit').description('what was done, by whom: the audit log');
const ofTenant = (command: Command) => serving(command).option('--tenant <id>', 'whose', 'main');
ofTenant(audit.command('export'))
  .description('write every line to standard output, a JSON document a line')
  .action(async (flags) => (await import('./commands/audit.ts')).exportLines(flags));
ofTenant(audit.command('verify'))
  .option('--file <file>', 'one that was exported, instead of the tables')
  .description('say whether a line was changed, taken out or put in')
  .action(async (flags) => (await import('./commands/audit.ts')).verify(flags));

const secrets = program.command('secrets').description('the secrets of this installation, and the master key they are sealed with');
serving(secrets.command('list'))
  .description('say which there are, and which master key each needs')
  .action(async (flags) => (await import('./commands/secrets.ts')).list(flags));
serving(secrets.command('rotate'))
  .description('seal them all anew under the newest master key')
  .action(async (flags) => (await import('./commands/secrets.ts')).rotate(flags));

const users = program.command('users').description('who signs in here');
serving(users.command('reset'))
  .argument('<email>', 'the address that the user signs in with')
  .description('print a link by which a user chooses a new password, once')
  .action(async (email, flags) => (await import('./commands/users.ts')).reset(email, flags));

program
  .command('swarm')
  .description('let many bots play, and say how they fared')
  .option('--players <number>', 'how many', wholeNumber, 100)
  .option('--seconds <number>', 'for how long', wholeNumber, 60)
  .option('--server <url>', 'where the server is', 'http://127.0.0.1:7420')
  .option('--moves <number>', 'moves of each player a second', wholeNumber, 2)
  .option('--processes <number>', 'processes the bots are spread over', wholeNumber, 1)
  .option('--json', 'print the statistics as one line of JSON')
  .option('--key <key>', 'an API key with the scope world:play, where one has to sign in')
  .action(async (flags) => (await import('./commands/swarm.ts')).swarm(flags));

serving(program.command('drill'))
  .option('--players <number>', 'bots that play meanwhile', wholeNumber, 500)
  .option(
    '--kills <number>',
    'hosts that are killed with hot snapshots as recovery source; a quarter as many with each other source',
    wholeNumber,
    20,
  )
  .description('kill zone hosts in a world of its own, and measure how it recovers')
  .option('--all-hosts', 'all zone hosts are killed at the same moment, instead of one')
  .action(async (flags) => (await import('./commands/drill.ts')).drill(flags));

program
  .command('bench')
  .argument('[names...]', 'which benchmarks (default: all)')
  .description('measure against the bare ceiling of this machine')
  .action(async (names) => (await import('./commands/bench.ts')).bench(names));

try {
  await program.parseAsync();
} catch (error) {
  const status = report(error);
  // A process that exits within a transaction of a shared store is killed, and its exit status lost.
  if (!(error instanceof CommanderError)) await (await import('@millrace/lmdb')).transactionsEnded(TRANSACTIONS_MS_MAX);
  // What was opened before the mistake was found would keep the process alive.
  process.exit(status);
}

/** Tells the person at the terminal what is wrong and what to do; returns the status to end with. */
function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
  if (error instanceof UserError) {
    console.error(`millrace: ${error.message}\n  ${error.remedy}`);
    return 1;
  }
  if (error instanceof SecretError) {
    console.error(`millrace: ${error.message}\n  Give the master key it was sealed with, first or among encryption.previousKeys.`);
    return 1;
  }
  if (error instanceof ConfigError) {
    console.error(`millrace: ${error.message}`);
    return 1;
  }
  console.error('millrace: something that should not happen has happened; please report it.\n', error);
  return EXIT_SOFTWARE;
}
