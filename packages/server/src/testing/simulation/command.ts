/* `npm run simulate`: see docs/TESTING.md. */
import { DELIBERATE_BUGS } from './deliberate-bugs.js';
import { SCENARIOS, type ScenarioName } from './fault.js';
import { shrink } from './shrink.js';
import { type SimulationOptions, type SimulationOutcome, simulate } from './simulate.js';

const MINUTE_MS = 60_000;
const TAIL_LINES = 60;
const SHRINK_RUNS_MAX = 200;

interface Given {
  readonly seed: number;
  readonly seedCount: number;
  readonly scenarios: readonly ScenarioName[];
  readonly durationMs: number;
  /** Numbers of the faults to keep. */
  readonly keep: readonly number[] | undefined;
  readonly planSeed: number | undefined;
  readonly callers: number | undefined;
  readonly groups: number | undefined;
  readonly bug: string | undefined;
  readonly traceLines: number;
  readonly shrinks: boolean;
}

const USAGE = `usage: npm run simulate -- [--seed N] [--seeds COUNT] [--scenario NAME] [--minutes M]
         [--plan-seed N] [--keep 0,3,5] [--callers N] [--groups N] [--bug NAME] [--trace LINES] [--no-shrink]
scenarios: ${Object.keys(SCENARIOS).join(', ')}
bugs: ${DELIBERATE_BUGS.map(({ name }) => name).join('; ')}`;

const given = parse(process.argv.slice(2));
let failedCount = 0;
for (let seed = given.seed; seed < given.seed + given.seedCount; seed++)
  for (const scenario of given.scenarios) if (!(await runOne(seed, scenario))) failedCount += 1;
console.log(
  `${given.seedCount * given.scenarios.length - failedCount} runs kept every promise, ${failedCount} did not`
);
process.exitCode = failedCount === 0 ? 0 : 1;

async function runOne(seed: number, scenario: ScenarioName): Promise<boolean> {
  const options = await optionsOf(seed, scenario);
  const outcome = await simulate(options);
  const { calls, unknowns } = outcome.counts;
  const summary = `seed ${seed} ${scenario}: ${outcome.faults.length} faults, ${calls} calls, ${unknowns} unknown`;
  console.log(`${summary}, trace ${outcome.traceHash}${outcome.violation ? '' : ', ok'}`);
  if (!outcome.violation) {
    if (given.traceLines > 0) await printTail(options);
    return true;
  }
  console.log(`BROKEN ${outcome.violation.message}`);
  await report(outcome, options);
  return false;
}

async function optionsOf(seed: number, scenario: ScenarioName): Promise<SimulationOptions> {
  const { durationMs, planSeed, callers, groups, keep } = given;
  const bug = DELIBERATE_BUGS.find(({ name }) => name === given.bug);
  const options = {
    seed,
    planSeed,
    scenario,
    durationMs,
    callersPerGroup: callers,
    groupCount: groups,
    bug
  };
  if (!keep) return options;
  // The plan is that of the whole time, of which only some faults are wanted.
  const { faults } = await simulate({ ...options, planOnly: true });
  return { ...options, faults: keep.flatMap((number) => faults[number] ?? []) };
}

async function report(failed: SimulationOutcome, options: SimulationOptions): Promise<void> {
  if (!given.shrinks || given.keep) {
    await printTail(options);
    console.log(`replay: ${replayOf(options)}`);
    return;
  }
  const {
    outcome,
    options: smaller,
    kept,
    runCount
  } = await shrink({
    failed,
    options,
    runsMax: SHRINK_RUNS_MAX
  });
  await printTail(smaller);
  for (const fault of outcome.faults) console.log(`fault ${JSON.stringify(fault)}`);
  console.log(`BROKEN ${outcome.violation?.message}`);
  console.log(
    `smaller after ${runCount} runs: ${outcome.faults.length} of ${failed.faults.length} faults, ` +
      `${outcome.traceLength} of ${failed.traceLength} events`
  );
  console.log(`replay: ${replayOf(options)}`);
  console.log(`smaller: ${replayOf(smaller)} --keep ${kept.join(',')}`);
}

function replayOf({
  seed,
  planSeed = seed,
  scenario,
  durationMs,
  callersPerGroup,
  groupCount,
  bug
}: SimulationOptions): string {
  const words = [
    `npm run simulate -- --seed ${seed} --scenario ${scenario} --minutes ${durationMs / MINUTE_MS}`
  ];
  if (planSeed !== seed) words.push(`--plan-seed ${planSeed}`);
  if (callersPerGroup !== undefined) words.push(`--callers ${callersPerGroup}`);
  if (groupCount !== undefined) words.push(`--groups ${groupCount}`);
  if (bug) words.push(`--bug '${bug.name}'`);
  return words.join(' ');
}

/** Runs again, with the lines that cost time. */
async function printTail(options: SimulationOptions): Promise<void> {
  const { tail } = await simulate({ ...options, keepsTrace: true });
  for (const line of tail(given.traceLines || TAIL_LINES)) console.log(`  ${line}`);
}

function parse(words: readonly string[]): Given {
  const values = new Map<string, string>();
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!;
    if (!word.startsWith('--')) return usage(`${word} is no option`);
    if (word === '--no-shrink') values.set(word, '');
    else values.set(word, words[++at] ?? '');
  }
  const number = (name: string, fallback: number): number => {
    const value = Number(values.get(name) ?? fallback);
    return Number.isFinite(value) && value >= 0 ? value : usage(`${name} needs a number`);
  };
  const scenario = values.get('--scenario') ?? 'everything';
  const scenarios =
    scenario === 'all' ? (Object.keys(SCENARIOS) as ScenarioName[]) : [scenario as ScenarioName];
  if (!scenarios.every((name) => Object.hasOwn(SCENARIOS, name)))
    return usage(`there is no scenario ${scenario}`);
  const bug = values.get('--bug');
  if (bug !== undefined && !DELIBERATE_BUGS.some(({ name }) => name === bug))
    return usage(`there is no bug ${bug}`);
  return {
    seed: number('--seed', Math.floor(Math.random() * 1_000_000)),
    seedCount: number('--seeds', 1),
    scenarios,
    durationMs: Math.round(number('--minutes', 1) * MINUTE_MS),
    keep: values.get('--keep')?.split(',').filter(Boolean).map(Number),
    planSeed: values.has('--plan-seed') ? number('--plan-seed', 0) : undefined,
    groups: values.has('--groups') ? number('--groups', 0) : undefined,
    callers: values.has('--callers') ? number('--callers', 0) : undefined,
    bug,
    traceLines: number('--trace', 0),
    shrinks: !values.has('--no-shrink')
  };
}

function usage(problem: string): never {
  console.error(`${problem}\n${USAGE}`);
  process.exit(2);
}
