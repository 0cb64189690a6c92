import type { CounterMetric, GaugeMetric, HistogramMetric, MetricRegistry } from '../platform/index.js';

const DURATION_SECONDS = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30];

export interface CallMeasure {
  /** A code of the error table, or `ok`. */
  readonly code: string;
  readonly durationMs: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** What the front end counts, for Prometheus. */
export class Metrics {
  readonly #registry: MetricRegistry;
  readonly #calls: CounterMetric;
  readonly #durations: HistogramMetric;
  readonly #connections: GaugeMetric;
  readonly #inFlight: GaugeMetric;
  readonly #durationOf = new Map<string, { observe(seconds: number): void }>();
  readonly #bytesIn: { inc(count: number): void };
  readonly #bytesOut: { inc(count: number): void };
  readonly #callsOf = new Map<string, { inc(): void }>();

  constructor(registry: MetricRegistry) {
    this.#registry = registry;
    this.#calls = registry.counter({
      name: 'stampede_calls_total',
      help: 'Calls that ended, by procedure and code of the error table.',
      labelNames: ['procedure', 'code']
    });
    this.#durations = registry.histogram({
      name: 'stampede_call_duration_seconds',
      help: 'How long calls took.',
      labelNames: ['procedure'],
      buckets: DURATION_SECONDS
    });
    const bytes = registry.counter({
      name: 'stampede_body_bytes_total',
      help: 'Bytes of bodies, in and out.',
      labelNames: ['direction']
    });
    this.#connections = registry.gauge({
      name: 'stampede_connections',
      help: 'Open connections by transport.',
      labelNames: ['transport']
    });
    this.#inFlight = registry.gauge({ name: 'stampede_calls_in_flight', help: 'Calls being served.' });
    this.#bytesIn = bytes.labels('in');
    this.#bytesOut = bytes.labels('out');
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.text();
  }

  callStarted(): void {
    this.#inFlight.inc();
  }

  callEnded(procedure: string, { code, durationMs, bytesIn, bytesOut }: CallMeasure): void {
    this.#inFlight.dec();
    const callKey = `${procedure} ${code}`;
    cached(this.#callsOf, callKey, () => this.#calls.labels(procedure, code)).inc();
    const durations = cached(this.#durationOf, procedure, () => this.#durations.labels(procedure));
    durations.observe(durationMs / 1000);
    if (bytesIn > 0) this.#bytesIn.inc(bytesIn);
    if (bytesOut > 0) this.#bytesOut.inc(bytesOut);
  }

  connectionOpened(transport: string): void {
    this.#connections.labels(transport).inc();
  }

  connectionClosed(transport: string): void {
    this.#connections.labels(transport).dec();
  }
}

/** Looking labels up costs more than counting. There are as many as procedures and codes. */
function cached<Value>(values: Map<string, Value>, key: string, make: () => Value): Value {
  const known = values.get(key);
  if (known !== undefined) return known;
  const made = make();
  values.set(key, made);
  return made;
}
