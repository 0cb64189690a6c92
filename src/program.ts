import { Command, CommanderError, Option } from 'commander';
import type { CommandGroup, CommandSpec, OptionSpec } from './command.js';
import { CommandContext } from './command-context.js';
import { describeError, isUnexpected } from './describe-error.js';
import { Output, OutputClosed, oneLine } from './output.js';
import { Shutdown } from './shutdown.js';
import { ToldError, UsageError } from './usage-error.js';
import type { World } from './world.js';

export interface ProgramOptions {
  readonly version: string;
  readonly commands: readonly (CommandSpec | CommandGroup)[];
  readonly world: World;
}

const SUMMARY = 'An object store whose buckets mount as drives.';
const OUTLINE = `
Places in the store are written st:BUCKET/KEY; "-" is stdin or stdout.
Credentials: --access-key and --secret-key, STAMPEDE_ACCESS_KEY and STAMPEDE_SECRET_KEY, ~/.stampede/credentials,
or credentials.json of the local store (--data, default ./.stampede). STAMPEDE_LOG=debug|info|warn|error.

Example:
  $ stampede up --mount ./drive`;

/**
 * Runs one command line.
 *
 * @param words   What follows the name of the program.
 * @returns       The exit code: 0, 1 (failed, also in part) or 2 (the command line is wrong: nothing was tried).
 */
export async function runProgram(words: readonly string[], options: ProgramOptions): Promise<number> {
  const { world } = options;
  using shutdown = new Shutdown(world);
  using output = new Output({
    stdout: world.stdout,
    stderr: world.stderr,
    hasColor: world.environment.hasColor,
    onClosed: (reason) => shutdown.request(reason)
  });
  const context = new CommandContext(world, { output, shutdown });
  const program = programOf(options, context);
  let exitCode = await attempt(context, async () => {
    await program.parseAsync(words, { from: 'user' });
  });
  // Also after a failure: what was opened is closed, and what it could not store is said.
  const closingCode = await attempt(context, () => shutdown.close());
  if (exitCode === 0) exitCode = closingCode;
  return exitCode;
}

async function attempt(context: CommandContext, work: () => Promise<void>): Promise<number> {
  const { world, output, shutdown } = context;
  try {
    await work();
    return 0;
  } catch (error) {
    const { reason } = shutdown.signal;
    if (error instanceof OutputClosed || reason instanceof OutputClosed) return 0;
    if (error instanceof ToldError) return 1;
    if (error instanceof CommanderError) return usageFailure(context, error);
    const isInterrupted = shutdown.signal.aborted && /Cancelled|ABORT/.test(codeOf(error));
    const { message, exitCode } = describeError(isInterrupted ? reason : error, {
      commandName: world.commandName,
      endpoint: context.endpoint,
      credentialsSource: context.credentialsSource
    });
    output.note(`stampede: ${message}`);
    if (world.environment.logLevel === 'debug' && isUnexpected(error) && error instanceof Error)
      world.stderr.write(`${error.stack}\n`);
    return exitCode;
  }
}

function usageFailure({ output, world }: CommandContext, error: CommanderError): number {
  if (error.exitCode === 0) return 0;
  if (error.code === 'commander.help') return 2;
  output.note(
    `stampede: ${oneLine(error.message.replace(/^error: |\.$/g, ''))}; see ${world.commandName} --help`
  );
  return 2;
}

function programOf({ version, commands, world }: ProgramOptions, context: CommandContext): Command {
  const program = new Command('stampede')
    .description(SUMMARY)
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print the help of a command')
    .addHelpText('after', OUTLINE);
  for (const entry of commands) {
    if ('run' in entry) {
      program.addCommand(commandOf(entry, context));
      continue;
    }
    const group = new Command(entry.name)
      .description(entry.summary)
      .helpOption('-h, --help', 'print this help')
      .helpCommand(false);
    const [first] = entry.commands;
    if (first) group.addHelpText('after', exampleText(`${entry.name} ${first.example}`));
    for (const spec of entry.commands) group.addCommand(commandOf(spec, context, entry.name));
    program.addCommand(group);
  }
  for (const command of withChildren(program)) {
    command.exitOverride().configureOutput({
      writeOut: (text) => world.stdout.write(text),
      writeErr: (text) => world.stderr.write(text),
      getOutHelpWidth: () => world.stdout.columns ?? 120,
      getErrHelpWidth: () => world.stderr.columns ?? 120,
      // Told once, in our words, where all errors are told.
      outputError: () => {}
    });
  }
  return program;
}

function commandOf(spec: CommandSpec, context: CommandContext, group?: string): Command {
  const command = new Command(spec.name)
    .description(spec.summary)
    .helpOption('-h, --help', 'print this help');
  if (spec.parameters !== '') command.arguments(spec.parameters);
  if (spec.usage !== undefined) command.usage(`[options] ${spec.usage}`);
  for (const [name, option] of Object.entries(spec.options)) command.addOption(optionOf(name, option));
  const example = exampleText(group === undefined ? spec.example : `${group} ${spec.example}`);
  command.addHelpText('after', spec.details === undefined ? example : `\n${spec.details}\n${example}`);
  command.action(async () => {
    const defaults = Object.entries(spec.options).map(([name, { defaultValue }]) => [name, defaultValue]);
    await spec.run(context, command.args, { ...Object.fromEntries(defaults), ...command.opts() });
  });
  return command;
}

function optionOf(name: string, spec: OptionSpec<unknown>): Option {
  const option = new Option(spec.flags, spec.description);
  if (option.attributeName() !== name) throw new Error(`the option ${spec.flags} is not named ${name}`);
  // Flags without a value are absent unless given; every other default shows in the help.
  if (spec.defaultValue !== undefined && spec.defaultValue !== false)
    option.default(spec.defaultValue, spec.defaultText);
  if (spec.group !== undefined) option.helpGroup(spec.group);
  if (spec.parse) option.argParser((text, previous) => parsed(spec, text, previous));
  return option;
}

function parsed(spec: OptionSpec<unknown>, text: string, previous: unknown): unknown {
  try {
    return spec.parse!(text, previous);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(`${spec.flags.split(' ').at(-2)}: ${error.message}`);
  }
}

function exampleText(example: string): string {
  return `\nExample:\n  $ stampede ${example}`;
}

function* withChildren(command: Command): Generator<Command> {
  yield command;
  for (const child of command.commands) yield* withChildren(child);
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}
