import { FRAMED_PROTOCOL, isErrorCode, StoreError } from '@stampede/server/api';
import type { Endpoint } from '../endpoint.js';

/*
 * A framed connection begins as an HTTP request on the store's ordinary port, so that one port serves all transports.
 *
 *   client  GET /trpc HTTP/1.1 · Upgrade: stampede/1 · Authorization: Bearer TOKEN
 *   store   101 Switching Protocols, then frames; or any other status, with the error as JSON { code, message }
 */

const ANSWER_BYTES_MAX = 32 * 1024;
const END_OF_HEADERS = '\r\n\r\n';

export function upgradeRequest(endpoint: Endpoint, token: string): Uint8Array {
  const lines = [
    'GET /trpc HTTP/1.1',
    `Host: ${new URL(endpoint.url).host}`,
    'Connection: Upgrade',
    `Upgrade: ${FRAMED_PROTOCOL}`,
    `Authorization: Bearer ${token}`
  ];
  return Buffer.from(`${lines.join('\r\n')}${END_OF_HEADERS}`, 'latin1');
}

interface Answer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Uint8Array;
}

/** The store's answer to `upgradeRequest`, as its bytes arrive. */
export class UpgradeAnswer {
  readonly #endpoint: Endpoint;
  readonly #memory: Uint8Array = Buffer.allocUnsafeSlow(ANSWER_BYTES_MAX);
  #filled = 0;

  constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint;
  }

  /** Where the next bytes go. */
  buffer(): Uint8Array {
    return this.#memory.subarray(this.#filled);
  }

  /**
   * @returns What follows a 101, or `undefined` while the answer is not complete.
   * @throws StoreError that says why there will be no frames.
   */
  received(count: number): Uint8Array | undefined {
    this.#filled += count;
    const answer = this.#parse();
    if (!answer) {
      if (this.#filled === ANSWER_BYTES_MAX) throw this.#notAStore('its answer is too long');
      return undefined;
    }
    if (answer.status !== 101) {
      const length = Math.min(Number(answer.headers.get('content-length')) || 0, ANSWER_BYTES_MAX / 2);
      if (answer.body.length < length) return undefined;
      throw this.#refusal(answer);
    }
    if (answer.headers.get('upgrade')?.toLowerCase() !== FRAMED_PROTOCOL)
      throw this.#notAStore('it speaks another protocol');
    return answer.body;
  }

  /** Why a connection that ends now was refused, if the store has said so. */
  ended(): StoreError | undefined {
    const answer = this.#parse();
    return answer && this.#refusal(answer);
  }

  #parse(): Answer | undefined {
    const bytes = Buffer.from(this.#memory.buffer, this.#memory.byteOffset, this.#filled);
    const end = bytes.indexOf(END_OF_HEADERS);
    if (end < 0) return undefined;
    const [first = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n');
    const status = /^HTTP\/1\.[01] (\d{3})\b/.exec(first)?.[1];
    if (!status) throw this.#notAStore('it does not speak HTTP');
    const headers = new Map(
      lines.map((line) => {
        const colon = line.indexOf(':');
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
      })
    );
    return { status: Number(status), headers, body: bytes.subarray(end + END_OF_HEADERS.length) };
  }

  /** The store's own error when it gives one, else what the status says. */
  #refusal({ status, headers, body }: Answer): StoreError {
    const said = errorIn(body);
    if (said) return said;
    const seconds = Number(headers.get('retry-after'));
    const options = seconds > 0 ? { retryAfterMs: seconds * 1000 } : {};
    const { url } = this.#endpoint;
    if (status === 401)
      return new StoreError(
        'Unauthenticated',
        `${url} refused the credentials; check both keys and the clock`
      );
    if (status === 403) return new StoreError('AccessDenied', `${url} does not let this access key in`);
    if (status === 429) return new StoreError('SlowDown', `${url} has too many connections`, options);
    if (status >= 500)
      return new StoreError('ServiceUnavailable', `${url} cannot serve now (HTTP ${status})`, options);
    return this.#notAStore(`it answered with HTTP ${status}`);
  }

  #notAStore(why: string): StoreError {
    return new StoreError(
      'InvalidArgument',
      `${this.#endpoint.url} is no store that this client can talk to: ${why}; check the endpoint and the versions`
    );
  }
}

function errorIn(body: Uint8Array): StoreError | undefined {
  try {
    const { code, message } = JSON.parse(Buffer.from(body).toString()) as Record<string, unknown>;
    return isErrorCode(code) && typeof message === 'string' ? new StoreError(code, message) : undefined;
  } catch {
    return undefined;
  }
}
