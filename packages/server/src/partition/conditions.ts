import { StoreError } from '../api/index.js';

export interface Conditions {
  readonly ifMatch?: string | undefined;
  readonly ifNoneMatch?: string | undefined;
}

/** What conditions are judged on. */
interface Version {
  readonly etag: string;
  readonly generation: number;
}

/** @throws StoreError `PreconditionFailed` unless what is there now is as the caller says. */
export function checkConditions(current: Version | undefined, { ifMatch, ifNoneMatch }: Conditions): void {
  if (ifMatch !== undefined && !matches(current, ifMatch))
    throw new StoreError(
      'PreconditionFailed',
      `Expected ${ifMatch}, there is ${stateOf(current)}. Read it again.`
    );
  if (ifNoneMatch !== undefined && matches(current, ifNoneMatch))
    throw new StoreError('PreconditionFailed', `Expected not ${ifNoneMatch}, there is ${stateOf(current)}.`);
}

function matches(current: Version | undefined, condition: string): boolean {
  if (!current) return false;
  if (condition === '*') return true;
  return condition === current.etag || condition === `generation:${current.generation}`;
}

function stateOf(current: Version | undefined): string {
  return current ? `etag ${current.etag}, generation ${current.generation}` : 'nothing';
}
