import { StoreError, verifyToken } from '../api/index.js';
import type { Clock, HttpRequest } from '../platform/index.js';
import type { AccessKeys } from './access-keys.js';

/** Tells who speaks, by the token that they signed. */
export class Authenticator {
  readonly #keys: AccessKeys;
  readonly #clock: Clock;

  constructor(keys: AccessKeys, clock: Clock) {
    this.#keys = keys;
    this.#clock = clock;
  }

  /**
   * Returns the access key that signed the token.
   *
   * @throws StoreError `Unauthenticated`
   */
  async authenticate(token: string | undefined): Promise<string> {
    if (token === undefined) {
      throw new StoreError(
        'Unauthenticated',
        'The call carries no token. Send "Authorization: Bearer" with a token signed with the secret key.'
      );
    }
    return verifyToken(token, {
      nowMs: this.#clock.nowMs(),
      findSecretKey: (accessKey) => this.#keys.findSecretKey(accessKey)
    });
  }
}

export function findBearerToken({ headers }: HttpRequest): string | undefined {
  return /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1];
}
