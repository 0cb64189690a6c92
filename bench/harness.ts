import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, freemem, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../test/support/store-process.js';

export { credentialsOf, ROOT, scratch, startStore } from '../test/support/store-process.js';

/*
 * What every benchmark shares: rounds, medians, ratios beside a peer or a limit of the same run, and one JSON file a
 * benchmark from which docs/BENCHMARKS.md is generated.
 */

export interface Figure {
  readonly name: string;
  readonly unit: string;
  /** One value a round, in the order they were taken. */
  readonly values: readonly number[];
  readonly median: number;
}

export interface Comparison {
  readonly name: string;
  readonly ratio: number;
  readonly expectedMin?: number;
  readonly meaning: string;
}

export class Bench {
  readonly #figures = new Map<string, { unit: string; values: number[] }>();
  readonly #comparisons: Comparison[] = [];
  readonly #notes: string[] = [];

  constructor(
    readonly name: string,
    readonly description: string
  ) {}

  /** Adds one round's value of a figure. */
  record(figure: string, unit: string, value: number): void {
    const entry = this.#figures.get(figure) ?? { unit, values: [] };
    entry.values.push(value);
    this.#figures.set(figure, entry);
    console.log(`  ${figure}: ${format(value)} ${unit}`);
  }

  median(figure: string): number {
    const values = this.#figures.get(figure)?.values;
    if (!values) throw new Error(`no figure ${figure}`);
    return medianOf(values);
  }

  /** Sets a ratio of two figures' medians beside what is expected of it; higher is better. */
  compare(
    name: string,
    options: { figure: string; to: string; inverse?: boolean; expectedMin?: number; meaning: string }
  ): void {
    if (!this.#figures.has(options.figure) || !this.#figures.has(options.to)) return;
    const ratio = this.median(options.figure) / this.median(options.to);
    const { expectedMin, meaning } = options;
    this.#comparisons.push({
      name,
      ratio: options.inverse ? 1 / ratio : ratio,
      meaning,
      ...(expectedMin === undefined ? {} : { expectedMin })
    });
  }

  note(text: string): void {
    this.#notes.push(text);
  }

  /** Prints the result and writes bench/results/<name>.json. */
  finish(): void {
    const figures: Figure[] = [...this.#figures].map(([name, { unit, values }]) => ({
      name,
      unit,
      values,
      median: medianOf(values)
    }));
    console.log(`\n${this.name}: medians`);
    for (const figure of figures)
      console.log(`  ${figure.name.padEnd(52)} ${format(figure.median).padStart(10)} ${figure.unit}`);
    for (const { name, ratio, expectedMin } of this.#comparisons) {
      const verdict =
        expectedMin === undefined
          ? ''
          : ratio >= expectedMin
            ? ` (expected ≥ ${expectedMin})`
            : ` (expected ≥ ${expectedMin}: falls short)`;
      console.log(`  ${name}: × ${ratio.toFixed(2)}${verdict}`);
    }
    const result = {
      name: this.name,
      description: this.description,
      command: `npm run bench -- ${this.name}`,
      commit: execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: ROOT, encoding: 'utf8' }).trim(),
      takenAt: new Date().toISOString(),
      machine: machine(),
      figures,
      comparisons: this.#comparisons,
      notes: this.#notes
    };
    mkdirSync(join(ROOT, 'bench/results'), { recursive: true });
    writeFileSync(
      join(ROOT, 'bench/results', `${this.name}.json`),
      `${JSON.stringify(result, undefined, 2)}\n`
    );
  }
}

export function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function format(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(2) : value.toPrecision(3);
}

function machine(): Record<string, string | number> {
  const cpu = cpus();
  return {
    cpu: cpu[0]?.model ?? 'unknown',
    cores: cpu.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version
  };
}

/** Seconds that `work` takes. */
export async function seconds(work: () => unknown): Promise<number> {
  const start = process.hrtime.bigint();
  await work();
  return Number(process.hrtime.bigint() - start) / 1e9;
}

/**
 * Uses half of the free memory, at most 8 GiB, once. A virtual machine gets memory from its host when it is touched first,
 * at a few hundred MiB a second: whoever runs first would pay for all.
 */
export function touchMemory(): void {
  const gibibytes = Math.floor(Math.min(8, freemem() / 2 ** 31));
  const program = `const kept = []; for (let count = 0; count < ${gibibytes}; count++) kept.push(Buffer.alloc(2 ** 30, 1))`;
  execFileSync(process.execPath, ['-e', program]);
}

/** Empties the kernel's page cache where we may, so that a read is cold; says whether it could. */
export function dropCaches(): boolean {
  try {
    execFileSync('sync');
    writeFileSync('/proc/sys/vm/drop_caches', '3');
    return true;
  } catch {
    return false;
  }
}

/** Runs bench/loads/<name>.mjs in a process of its own (the store's process must never touch its own mount) and returns what it prints. */
export async function runLoad<Result>(name: string, args: readonly string[]): Promise<Result> {
  const child = spawn(process.execPath, [join(ROOT, 'bench/loads', `${name}.mjs`), ...args], {
    stdio: ['ignore', 'pipe', 'inherit']
  });
  let output = '';
  child.stdout.on('data', (text) => {
    output += text;
  });
  const code = await new Promise((resolve) => child.once('exit', resolve));
  if (code !== 0) throw new Error(`load ${name} ${args.join(' ')} ended with ${code}`);
  return JSON.parse(output) as Result;
}
