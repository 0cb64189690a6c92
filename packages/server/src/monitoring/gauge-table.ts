import type { GaugeMetric, MetricLabels, MetricRegistry } from '../platform/index.js';

/** name → help and the names of its labels. */
export type GaugeDefinitions<Name extends string> = Readonly<
  Record<Name, readonly [help: string, ...labelNames: string[]]>
>;

/** Gauges that are set anew together, so that none outlives what it measured. */
export class GaugeTable<Name extends string> {
  readonly #gauges = new Map<Name, GaugeMetric>();
  readonly #unlabelled: GaugeMetric[] = [];

  constructor(registry: MetricRegistry, definitions: GaugeDefinitions<Name>) {
    const entries = Object.entries(definitions) as [Name, [string, ...string[]]][];
    for (const [name, [help, ...labelNames]] of entries) {
      const gauge = registry.gauge({ name: `stampede_${name}`, help, labelNames });
      this.#gauges.set(name, gauge);
      if (labelNames.length === 0) this.#unlabelled.push(gauge);
    }
    this.clear();
  }

  clear(): void {
    for (const gauge of this.#gauges.values()) gauge.reset();
    // What is not known is absent, not 0.
    for (const gauge of this.#unlabelled) gauge.remove();
  }

  set(name: Name, value: number, labels: MetricLabels = {}): void {
    this.#gauges.get(name)!.set(labels, value);
  }
}
