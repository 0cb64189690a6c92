import { StoreError } from '@stampede/server/api';

/** Where a store listens. */
export interface Endpoint {
  /** Without a path, as `http://127.0.0.1:7070`. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
}

export interface Credentials {
  readonly accessKey: string;
  readonly secretKey: string;
}

export const DEFAULT_PORT = 7070;
const DEFAULT_PORTS = { 'http:': 80, 'https:': 443 } as const;

/**
 * Parses `http://host:port` or `https://host:port`; without a port 7070, or 443 with https. A path `/trpc` may follow.
 *
 * @throws StoreError `InvalidArgument` that says what is wrong with it.
 */
export function parseEndpoint(text: string): Endpoint {
  const wrong = (why: string) =>
    new StoreError(
      'InvalidArgument',
      `the endpoint "${text}" ${why}; give it as http://HOST:${DEFAULT_PORT}`
    );
  if (!URL.canParse(text)) throw wrong('is no URL');
  const { protocol, hostname, port, username, password, pathname, search, hash } = new URL(text);
  if (protocol !== 'http:' && protocol !== 'https:') throw wrong(`has the protocol ${protocol}`);
  if (username || password) throw wrong('has credentials in it');
  if (!/^\/?(trpc\/?)?$/.test(pathname) || search || hash) throw wrong('has more than a host and a port');
  const number = Number(port || portGiven(text, protocol));
  return {
    url: `${protocol}//${hostname}:${number}`,
    // A socket wants an IPv6 address without the brackets of a URL.
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    port: number,
    tls: protocol === 'https:'
  };
}

/** @throws StoreError `InvalidArgument` when one of the two is missing. */
export function parseCredentials({ accessKey, secretKey }: Partial<Credentials>): Credentials {
  for (const [name, value] of Object.entries({ accessKey, secretKey })) {
    if (typeof value !== 'string' || value === '')
      throw new StoreError(
        'InvalidArgument',
        `${name} is missing; a local store writes both to credentials.json in its data folder`
      );
  }
  return { accessKey: accessKey!, secretKey: secretKey! };
}

/** `URL` drops a port that is the default of its protocol, whether it was written or not. */
function portGiven(text: string, protocol: keyof typeof DEFAULT_PORTS): number {
  const written = new RegExp(`:0*${DEFAULT_PORTS[protocol]}(?=[/?#]|$)`).test(text);
  return protocol === 'http:' && !written ? DEFAULT_PORT : DEFAULT_PORTS[protocol];
}
