/** What one look at this machine found. */
export interface Check {
  readonly name: string;
  /** `warn`: it works, but not for everything. */
  readonly verdict: 'ok' | 'warn' | 'fail';
  readonly message: string;
  /** What to do about it; for everything that is not ok. */
  readonly fix?: string;
}
