import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export interface MetricDefinition {
  /** By the conventions of Prometheus: base units, `_total` for what only grows. */
  readonly name: string;
  readonly help: string;
  /** Each with few values: every combination is a series. */
  readonly labelNames?: readonly string[];
}

export type MetricLabels = Readonly<Record<string, string | number>>;

/** What only grows while the process runs. */
export interface CounterMetric {
  inc(labels: MetricLabels, value?: number): void;
  inc(value?: number): void;
  labels(...values: string[]): { inc(value?: number): void };
}

/** What goes up and down. */
export interface GaugeMetric {
  set(labels: MetricLabels, value: number): void;
  set(value: number): void;
  inc(): void;
  dec(): void;
  labels(...values: string[]): { inc(): void; dec(): void };
  /** Forgets all series; one without labels goes back to 0. */
  reset(): void;
  /** Forgets the one series of a gauge without labels. */
  remove(): void;
}

export interface HistogramMetric {
  labels(...values: string[]): { observe(value: number): void };
}

/** The metrics of a process; there is one for each process. */
export class MetricRegistry {
  readonly #registry = new Registry();
  readonly #collectors: (() => void | Promise<void>)[] = [];
  readonly #failures: CounterMetric;

  constructor() {
    collectDefaultMetrics({ register: this.#registry, prefix: 'stampede_' });
    this.#failures = this.counter({
      name: 'stampede_metric_failures_total',
      help: 'Times that some metrics could not be collected; those are then as old as the last scrape.'
    });
  }

  counter({ name, help, labelNames = [] }: MetricDefinition): CounterMetric {
    return new Counter({ name, help, labelNames: [...labelNames], registers: [this.#registry] });
  }

  gauge({ name, help, labelNames = [] }: MetricDefinition): GaugeMetric {
    return new Gauge({ name, help, labelNames: [...labelNames], registers: [this.#registry] });
  }

  histogram({
    name,
    help,
    labelNames = [],
    buckets
  }: MetricDefinition & { readonly buckets: readonly number[] }): HistogramMetric {
    const registers = [this.#registry];
    return new Histogram({ name, help, labelNames: [...labelNames], buckets: [...buckets], registers });
  }

  /** Has gauges set right before they are read. */
  beforeText(collect: () => void | Promise<void>): void {
    this.#collectors.push(collect);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** As Prometheus reads it. */
  async text(): Promise<string> {
    const outcomes = await Promise.allSettled(this.#collectors.map(async (collect) => await collect()));
    for (const { status } of outcomes) if (status === 'rejected') this.#failures.inc();
    return await this.#registry.metrics();
  }
}
