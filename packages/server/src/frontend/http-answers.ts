import { StoreError } from '../api/index.js';
import type { Clock, HttpResponse, HttpServer, HttpSocket } from '../platform/index.js';
import { frameErrorOf, publicErrorOf } from './public-error.js';

/** Ends a request with one sentence. */
export function answerText(
  response: HttpResponse,
  status: number,
  text: string,
  headers: Readonly<Record<string, string>> = {}
): void {
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(text) + 1,
    ...headers
  });
  response.end(`${text}\n`);
}

const REASONS = {
  400: 'Bad Request',
  401: 'Unauthorized',
  404: 'Not Found',
  408: 'Request Timeout',
  426: 'Upgrade Required',
  431: 'Request Header Fields Too Large',
  503: 'Service Unavailable'
} as const;

export interface Refusal {
  readonly status: keyof typeof REASONS;
  readonly error: unknown;
  readonly headers?: readonly string[];
  readonly clock: Clock;
}

/** Who was refused gets so long to read why and to close the connection. */
const LINGER_MS = 10_000;

/** Ends a connection that is not, or not yet, one of HTTP responses. The body is JSON: `code`, `message`. */
export function refuse(socket: HttpSocket, { status, error, headers = [], clock }: Refusal): void {
  const body = JSON.stringify(frameErrorOf(publicErrorOf(error)));
  const head = [
    `HTTP/1.1 ${status} ${REASONS[status]}`,
    'connection: close',
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
    ...headers
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
  // What still comes is dropped: to close with bytes unread would take the answer away from the other side.
  socket.resume();
  const timer = clock.setTimer(LINGER_MS, () => socket.destroy());
  socket.once('end', () => socket.destroy());
  socket.once('close', () => timer[Symbol.dispose]());
}

/** Answers what is no proper request, where the runtime would only close the connection or say a number. */
export function explainClientErrors(
  server: HttpServer,
  { clock, headerBytesMax }: { readonly clock: Clock; readonly headerBytesMax: number }
): void {
  server.on('clientError', (error: Error & { readonly code?: string }, socket) => {
    if (socket.destroyed || !socket.writable || error.code === 'ECONNRESET') {
      socket.destroy();
      return;
    }
    const [status, text] = explanationOf(error.code, headerBytesMax);
    refuse(socket, { status, error: new StoreError('InvalidArgument', text), clock });
  });
}

function explanationOf(
  code: string | undefined,
  headerBytesMax: number
): readonly [Refusal['status'], string] {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return [431, `Address and headers have at most ${headerBytesMax} bytes. Send long inputs with POST.`];
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return [408, 'The request did not arrive in time. Send it again, in smaller parts.'];
    default:
      return [400, 'The bytes received are no HTTP request.'];
  }
}
