/** Something happened that must never happen. */
export class Violation extends Error {
  override readonly name = 'Violation';
  /** Which promise was broken: `I1` … `I12`, or a word. */
  readonly invariant: string;

  constructor(invariant: string, message: string, options: { readonly cause?: unknown } = {}) {
    super(`${invariant}: ${message}`, options);
    this.invariant = invariant;
  }
}
