import type { CommandContext } from './command-context.js';

/** One option of a command. Its name in the record of options is the camel-case of its long flag. */
export interface OptionSpec<Value> {
  /** As `--port <number>`, or `-r, --recursive` for a flag without a value. */
  readonly flags: string;
  readonly description: string;
  readonly defaultValue: Value;
  /** How the help shows the default, when not as it is. */
  readonly defaultText?: string;
  /** Under which heading the help lists it. */
  readonly group?: string;
  /** Absent for a flag without a value. `previous`: what an earlier occurrence gave. @throws UsageError */
  parse?(text: string, previous: Value): Value;
}

export type OptionSpecs = Readonly<Record<string, OptionSpec<unknown>>>;

export type ValuesOf<Options extends OptionSpecs> = {
  readonly [Name in keyof Options]: Options[Name] extends OptionSpec<infer Value> ? Value : never;
};

/** One command as data: what the command line parses, what the help says, and what it does. */
export interface CommandSpec<Options extends OptionSpecs = OptionSpecs> {
  readonly name: string;
  /** As `<path...>`; '' for none. Only the last one may stand for many. */
  readonly parameters: string;
  /** How the help shows the parameters, when not as they are. */
  readonly usage?: string;
  readonly summary: string;
  /** What the summary cannot say, for the help. */
  readonly details?: string;
  readonly options: Options;
  readonly example: string;
  /** @throws UsageError, CommandError, StoreError, FileSystemError, or what a system call throws: one line, no stack. */
  run(context: CommandContext, parameters: readonly string[], options: ValuesOf<Options>): Promise<void>;
}

export interface CommandGroup {
  readonly name: string;
  readonly summary: string;
  readonly commands: readonly CommandSpec[];
}

/** Checks a command against the types of its own options, then forgets them. */
export function defineCommand<Options extends OptionSpecs>(spec: CommandSpec<Options>): CommandSpec {
  return spec as unknown as CommandSpec;
}

export function flag(flags: string, description: string): OptionSpec<boolean> {
  return { flags, description, defaultValue: false };
}

export function value<Value>(
  flags: string,
  description: string,
  parse: (text: string) => Value
): OptionSpec<Value | undefined> {
  return { flags, description, defaultValue: undefined, parse: (text) => parse(text) };
}

export function valueOr<Value>(
  flags: string,
  description: string,
  { parse, otherwise }: { readonly parse: (text: string) => Value; readonly otherwise: Value }
): OptionSpec<Value> {
  return { flags, description, defaultValue: otherwise, parse: (text) => parse(text) };
}

/** An option that may be given more than once. */
export function values<Value>(
  flags: string,
  description: string,
  parse: (text: string) => Value
): OptionSpec<readonly Value[]> {
  return {
    flags,
    description,
    defaultValue: [],
    defaultText: 'none',
    parse: (text, previous) => [...previous, parse(text)]
  };
}

export const asText = (text: string): string => text;
