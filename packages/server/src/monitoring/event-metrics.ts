import type { CounterMetric, MetricRegistry } from '../platform/index.js';
import { EVENT_TYPES, type StampEvent } from '../stamp-events.js';

/** Counts what happens inside, for Prometheus. */
export class EventMetrics {
  readonly #events: CounterMetric;
  readonly #failovers: CounterMetric;
  readonly #copied: CounterMetric;
  readonly #scrubbed: CounterMetric;
  readonly #compacted: CounterMetric;

  constructor(registry: MetricRegistry) {
    this.#events = registry.counter({
      name: 'stampede_events_total',
      help: 'Events of the log by their name.',
      labelNames: ['event']
    });
    this.#failovers = registry.counter({
      name: 'stampede_failovers_total',
      help: 'Times that this process took a role over: became a leader, or loaded a range partition.',
      labelNames: ['role']
    });
    this.#copied = registry.counter({
      name: 'stampede_copied_bytes_total',
      help: 'Bytes of replicas that were written anew, by why.',
      labelNames: ['reason']
    });
    this.#scrubbed = registry.counter({
      name: 'stampede_scrubbed_bytes_total',
      help: 'Bytes of sealed replicas that were compared with their checksums.'
    });
    this.#compacted = registry.counter({
      name: 'stampede_compacted_bytes_total',
      help: 'Bytes that were written again so that mostly unused extents could go.'
    });
    // A series that is not there at 0 hides its first increase from alerts.
    for (const type of EVENT_TYPES) this.#events.inc({ event: type }, 0);
    for (const role of ['stream-manager', 'partition-manager', 'partition-server'])
      this.#failovers.inc({ role }, 0);
    for (const reason of ['repair', 'drain', 'rebalance']) this.#copied.inc({ reason }, 0);
  }

  count(event: StampEvent): void {
    this.#events.inc({ event: event.type });
    const { type } = event;
    if (type === 'stream-manager-leads') this.#failovers.inc({ role: 'stream-manager' });
    else if (type === 'partition-manager-leads') this.#failovers.inc({ role: 'partition-manager' });
    else if (type === 'partition-loaded') this.#failovers.inc({ role: 'partition-server' });
    else if (type === 'replica-rebuilt') this.#copied.inc({ reason: 'repair' }, event.bytes);
    else if (type === 'replica-copied') this.#copied.inc({ reason: event.reason }, event.bytes);
    else if (type === 'replica-verified') this.#scrubbed.inc(event.bytes);
    else if (type === 'extents-compacted') this.#compacted.inc(event.bytes);
  }
}
