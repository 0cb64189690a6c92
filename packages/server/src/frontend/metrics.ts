import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

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
  readonly #registry = new Registry();
  readonly #calls: Counter;
  readonly #durations: Histogram;
  readonly #bytes: Counter;
  readonly #connections: Gauge;
  readonly #inFlight: Gauge;
  readonly #durationOf = new Map<string, { observe(seconds: number): void }>();
  readonly #bytesIn: { inc(count: number): void };
  readonly #bytesOut: { inc(count: number): void };
  readonly #callsOf = new Map<string, { inc(): void }>();

  constructor() {
    const registers = [this.#registry];
    collectDefaultMetrics({ register: this.#registry, prefix: 'stampede_' });
    this.#calls = new Counter({
      name: 'stampede_calls_total',
      help: 'Calls that ended, by procedure and code of the error table.',
      labelNames: ['procedure', 'code'],
      registers
    });
    this.#durations = new Histogram({
      name: 'stampede_call_duration_seconds',
      help: 'How long calls took.',
      labelNames: ['procedure'],
      buckets: DURATION_SECONDS,
      registers
    });
    this.#bytes = new Counter({
      name: 'stampede_body_bytes_total',
      help: 'Bytes of bodies, in and out.',
      labelNames: ['direction'],
      registers
    });
    this.#connections = new Gauge({
      name: 'stampede_connections',
      help: 'Open connections by transport.',
      labelNames: ['transport'],
      registers
    });
    this.#inFlight = new Gauge({ name: 'stampede_calls_in_flight', help: 'Calls being served.', registers });
    this.#bytesIn = this.#bytes.labels('in');
    this.#bytesOut = this.#bytes.labels('out');
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
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
