import type { Logger } from 'pino';
import { FRAMED_PROTOCOL, StoreError } from '../api/index.js';
import type { Clock, HttpRequest, HttpResponse, HttpSocket } from '../platform/index.js';
import { faultOf } from './fault.js';
import type { FramedServer } from './framed-server.js';
import { answerText, refuse } from './http-answers.js';
import type { Metrics } from './metrics.js';
import type { TrpcHttp } from './trpc-http.js';
import type { TrpcWebSocket } from './trpc-websocket.js';

export interface WebRoutesOptions {
  readonly trpcHttp: TrpcHttp;
  readonly trpcWebSocket: TrpcWebSocket;
  readonly framed: FramedServer;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly isReady: () => boolean;
}

interface Route {
  readonly methods: readonly string[];
  readonly serve: (request: HttpRequest, response: HttpResponse) => Promise<void> | void;
}

const CALLS_PATH = '/trpc';
const READ = ['GET', 'HEAD'];

/** Everything on the store's port, by path. */
export class WebRoutes {
  readonly #options: WebRoutesOptions;
  readonly #routes: ReadonlyMap<string, Route>;

  constructor(options: WebRoutesOptions) {
    this.#options = options;
    const { metrics, isReady } = options;
    this.#routes = new Map<string, Route>([
      ['/health/live', { methods: READ, serve: (_, response) => answerText(response, 200, 'live') }],
      [
        '/health/ready',
        {
          methods: READ,
          serve: (_, response) =>
            isReady() ? answerText(response, 200, 'ready') : answerText(response, 503, 'not ready')
        }
      ],
      ['/metrics', { methods: READ, serve: (_, response) => answerMetrics(response, metrics) }]
    ]);
  }

  serve(request: HttpRequest, response: HttpResponse): void {
    const path = pathOf(request);
    const route = this.#findRoute(path);
    if (!route) {
      const text = 'There is nothing here. The calls of the store are under /trpc.';
      answerText(response, 404, text);
      return;
    }
    if (!route.methods.includes(request.method ?? '')) {
      const allow = route.methods.join(', ');
      answerText(response, 405, `Use ${allow} with ${path}.`, { allow });
      return;
    }
    void this.#run(route, request, response);
  }

  /** Owns the socket from here on. */
  upgrade(request: HttpRequest, socket: HttpSocket, head: Uint8Array): void {
    const { framed, trpcWebSocket, clock } = this.#options;
    const path = pathOf(request);
    // Whoever takes the connection over hears of its end.
    socket.on('error', () => undefined);
    if (path !== CALLS_PATH && path !== `${CALLS_PATH}/`) {
      const error = wrongUpgrade(`There is nothing to upgrade to at this path. Use ${CALLS_PATH}.`);
      refuse(socket, { status: 404, error, clock });
      return;
    }
    const protocol = request.headers.upgrade?.toLowerCase();
    if (protocol === FRAMED_PROTOCOL) void framed.accept(request, socket, head);
    else if (protocol === 'websocket') trpcWebSocket.accept(request, socket, head);
    else {
      const known = `${FRAMED_PROTOCOL}, websocket`;
      const error = wrongUpgrade(`The store does not speak that protocol. Upgrade to one of: ${known}.`);
      refuse(socket, { status: 426, error, headers: [`upgrade: ${known}`], clock });
    }
  }

  #findRoute(path: string): Route | undefined {
    const { trpcHttp } = this.#options;
    if (!path.startsWith(`${CALLS_PATH}/`)) return this.#routes.get(path);
    const names = path.slice(CALLS_PATH.length + 1);
    return {
      methods: ['GET', 'POST'],
      serve: (request, response) => trpcHttp.serve(request, response, names)
    };
  }

  async #run(route: Route, request: HttpRequest, response: HttpResponse): Promise<void> {
    try {
      await route.serve(request, response);
    } catch (error) {
      this.#options.logger.error({ err: faultOf(error), path: pathOf(request) }, 'A request failed inside.');
      if (response.headersSent) response.destroy();
      else answerText(response, 500, 'The store failed inside. Its log says more.');
    }
  }
}

function wrongUpgrade(message: string): StoreError {
  return new StoreError('InvalidArgument', message);
}

function pathOf({ url = '/' }: HttpRequest): string {
  const path = url.split('?', 1)[0]!;
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

async function answerMetrics(response: HttpResponse, metrics: Metrics): Promise<void> {
  const text = await metrics.text();
  response.writeHead(200, { 'content-type': metrics.contentType });
  response.end(text);
}
