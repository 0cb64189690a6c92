/** What is known of one cache; what it does not count is absent. */
export interface CacheStatus {
  readonly name: 'attributes' | 'memory' | 'disk';
  readonly hitCount?: number;
  readonly missCount?: number;
  readonly hitBytes?: number;
  readonly missBytes?: number;
  readonly bytes?: number;
  readonly limitBytes?: number;
  readonly entryCount?: number;
}
