import { nodeHTTPRequestHandler } from '@trpc/server/adapters/node-http';
import type { Logger } from 'pino';
import { LIMITS } from '../api/index.js';
import type { HttpRequest, HttpResponse } from '../platform/index.js';
import type { AccessKeys } from './access-keys.js';
import { type Authenticator, findBearerToken } from './authenticator.js';
import { BatchAdmission } from './batch-admission.js';
import type { BytesInFlight } from './bytes-in-flight.js';
import { callerOf } from './caller-of.js';
import type { Dispatcher } from './dispatcher.js';
import { answerText } from './http-answers.js';
import { logRefusals } from './log-refusals.js';
import { findProcedure, SUBSCRIPTION_BYTES } from './procedures.js';
import { appRouter, trpcErrorOf } from './router.js';

export interface TrpcHttpOptions {
  readonly keys: AccessKeys;
  readonly authenticator: Authenticator;
  readonly dispatcher: Dispatcher;
  readonly bytesInFlight: BytesInFlight;
  readonly logger: Logger;
}

/** One request may not take all the memory that there is for calls in flight. */
const ANSWERS_BYTES_MAX = LIMITS.frontEndBytesInFlightMax / 4;

/** Serves tRPC over HTTP: single calls, batches, and subscriptions as server-sent events. */
export class TrpcHttp {
  readonly #options: TrpcHttpOptions;
  readonly #onError: ReturnType<typeof logRefusals>;

  constructor(options: TrpcHttpOptions) {
    this.#options = options;
    this.#onError = logRefusals(options.logger, 'http');
  }

  /** @param path   Of the procedure, or several of a batch with commas between. */
  async serve(request: HttpRequest, response: HttpResponse, path: string): Promise<void> {
    const { keys, authenticator, dispatcher } = this.#options;
    const bodyBytes = bodyBytesOf(request);
    if (bodyBytes > LIMITS.httpBodyBytesMax) {
      answerText(
        response,
        413,
        `A request has at most ${LIMITS.httpBodyBytesMax} bytes. Use uploads for more.`
      );
      return;
    }
    const answerBytes = Math.min(answerBytesOf(request, path), ANSWERS_BYTES_MAX);
    if (!(await this.#admit(response, bodyBytes + answerBytes))) return;
    const batch = new BatchAdmission(answerBytes);
    await nodeHTTPRequestHandler({
      req: request,
      res: response,
      router: appRouter,
      path,
      onError: this.#onError,
      maxBodySize: LIMITS.httpBodyBytesMax,
      maxBatchSize: LIMITS.connectionCallsInFlightMax,
      createContext: async ({ info }) => {
        try {
          // Event sources of browsers cannot set headers.
          const token = findBearerToken(request) ?? info.connectionParams?.token;
          const accessKey = await authenticator.authenticate(token);
          return {
            dispatcher,
            caller: () => callerOf(keys, accessKey, 'http'),
            admit: ({ answerMax }) => batch.admit(answerMax)
          };
        } catch (error) {
          throw trpcErrorOf(error);
        }
      }
    });
  }

  /** Waits, with the body unread, until there is room; it is free again when the response has left. */
  #admit(response: HttpResponse, bytes: number): Promise<boolean> {
    const { bytesInFlight } = this.#options;
    const free = (): void => bytesInFlight.give(bytes);
    if (bytesInFlight.tryTake(bytes)) {
      response.once('close', free);
      return Promise.resolve(true);
    }
    return new Promise((resolve) => {
      const giveUp = (): void => {
        waiting[Symbol.dispose]();
        resolve(false);
      };
      const waiting = bytesInFlight.wait(bytes, () => {
        response.off('close', giveUp);
        response.once('close', free);
        resolve(true);
      });
      response.once('close', giveUp);
    });
  }
}

function bodyBytesOf({ headers, method }: HttpRequest): number {
  if (method === 'GET' || method === 'HEAD') return 0;
  const length = headers['content-length'];
  // Sent in chunks: it may be as long as it likes, up to the limit.
  return length === undefined ? LIMITS.httpBodyBytesMax : Number(length);
}

function answerBytesOf({ url = '' }: HttpRequest, path: string): number {
  const inputs = inputsOf(url);
  return path.split(',').reduce((sum, name, index) => {
    const procedure = findProcedure(name);
    return sum + (procedure?.answerBytesMax(inputs(index)) ?? SUBSCRIPTION_BYTES);
  }, 0);
}

/** What a query asks for, as far as it can be told; the procedures check it themselves. */
function inputsOf(url: string): (index: number) => unknown {
  const query = new URLSearchParams(url.slice(url.indexOf('?') + 1));
  try {
    const input: unknown = JSON.parse(query.get('input') ?? 'null');
    return query.has('batch') ? (index) => (input as Record<number, unknown> | null)?.[index] : () => input;
  } catch {
    return () => undefined;
  }
}
