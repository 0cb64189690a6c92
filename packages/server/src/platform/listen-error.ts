import { StoreError } from '../api/index.js';
import { systemCodeOf } from './disk-error.js';

/** Why an address cannot be listened on, and what to do about it. */
export function listenError(host: string, port: number, cause: Error): StoreError {
  const address = `${host}:${port}`;
  return new StoreError('InvalidArgument', `Cannot listen on ${address}: ${adviceFor(cause, port)}`, {
    cause
  });
}

function adviceFor(cause: Error, port: number): string {
  switch (systemCodeOf(cause)) {
    case 'EADDRINUSE':
      return `port ${port} is in use. Stop the process that uses it, or choose another port (0 = any free one).`;
    case 'EACCES':
      return `port ${port} needs more rights. Choose a port above 1023, or give the process the right to bind it.`;
    case 'EADDRNOTAVAIL':
      return 'this machine does not have that address. Use 127.0.0.1, or 0.0.0.0 for all addresses.';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'the host name has no address. Use an address or a name that resolves.';
    default:
      return `${cause.message}. Choose another host or port.`;
  }
}
