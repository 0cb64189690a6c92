/* What a process says of itself at /metrics. */

/** Reads the metrics of a process. @throws Error when it does not answer. */
export async function readMetrics(url: string): Promise<MetricsText> {
  const answer = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(5000) });
  if (answer.status !== 200) throw new Error(`${url}/metrics answered ${answer.status}`);
  return new MetricsText(await answer.text());
}

export interface MetricSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const SAMPLE = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-z_]+)="([^"]*)"/g;

export class MetricsText {
  readonly samples: readonly MetricSample[];
  /** Metrics that have a HELP line. */
  readonly names: readonly string[];

  constructor(text: string) {
    const lines = text.split('\n');
    this.names = lines.flatMap((line) => /^# HELP (\S+)/.exec(line)?.[1] ?? []);
    this.samples = lines.flatMap((line) => {
      const [, name, labels = '', value] = SAMPLE.exec(line) ?? [];
      if (name === undefined) return [];
      const pairs = [...labels.matchAll(LABEL)].map(([, label, text]) => [label!, text!]);
      return { name, labels: Object.fromEntries(pairs), value: Number(value) };
    });
  }

  /** The sum of the series that have these labels; `undefined` when there is none. */
  find(name: string, labels: Readonly<Record<string, string>> = {}): number | undefined {
    const found = this.samples.filter(
      (sample) =>
        sample.name === name &&
        Object.entries(labels).every(([label, value]) => sample.labels[label] === value)
    );
    return found.length === 0 ? undefined : found.reduce((sum, { value }) => sum + value, 0);
  }
}
