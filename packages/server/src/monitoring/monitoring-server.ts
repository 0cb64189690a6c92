import { answerText } from '../frontend/index.js';
import type { HttpRequest, HttpResponse, Listener, MetricRegistry, Network } from '../platform/index.js';
import type { RoleState } from './role-metrics.js';

export interface MonitoringOptions {
  readonly network: Network;
  readonly listen: { readonly host: string; readonly port: number };
  readonly metrics: MetricRegistry;
  /** Absent = it is still starting. */
  readonly states: () => readonly RoleState[] | undefined;
}

export interface MonitoringServer {
  /** Without a path, as `http://127.0.0.1:7072`. */
  readonly url: string;
  close(): Promise<void>;
}

/** Who scrapes asks for little, and closes or comes again soon. */
const HTTP_LIMITS = { headersTimeout: 10_000, requestTimeout: 10_000, maxHeaderSize: 16 * 1024 };
const CONNECTION_COUNT_MAX = 64;
const UNSENT_MS_MAX = 10_000;

/**
 * Serves what load balancers, supervisors and Prometheus ask of a process, whatever its roles: `/health/live`,
 * `/health/ready`, `/healthz` (the same as ready) and `/metrics`. Needs no key, so it shows no names of objects.
 *
 * @throws StoreError `InvalidArgument` when the address cannot be listened on.
 */
export async function openMonitoring(options: MonitoringOptions): Promise<MonitoringServer> {
  const listener = await options.network.listen({
    ...options.listen,
    http: HTTP_LIMITS,
    unsentMsMax: UNSENT_MS_MAX,
    onRequest: (request, response) => {
      serve(options, request, response).catch(() => response.destroy());
    }
  });
  listener.server.maxConnections = CONNECTION_COUNT_MAX;
  return { url: urlOf(listener), close: () => listener.close() };
}

async function serve(
  { metrics, states }: MonitoringOptions,
  request: HttpRequest,
  response: HttpResponse
): Promise<void> {
  const path = (request.url ?? '/').split('?', 1)[0]!;
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    answerText(response, 405, 'Use GET.', { allow: 'GET, HEAD' });
    return;
  }
  switch (path) {
    case '/health/live':
      return answerText(response, 200, 'live');
    case '/health/ready':
    case '/healthz':
      return answerReady(response, states());
    case '/metrics': {
      const text = await metrics.text();
      response.writeHead(200, { 'content-type': metrics.contentType });
      response.end(text);
      return;
    }
    default:
      return answerText(
        response,
        404,
        'There is nothing here. Ask for /metrics, /health/live or /health/ready.'
      );
  }
}

function answerReady(response: HttpResponse, states: readonly RoleState[] | undefined): void {
  if (!states) {
    answerText(response, 503, 'not ready: it is starting');
    return;
  }
  const isReady = states.every((state) => state.isReady);
  const lines = states.map(({ role, description }) => `${role}: ${description}`);
  answerText(response, isReady ? 200 : 503, [isReady ? 'ready' : 'not ready', ...lines].join('\n'));
}

function urlOf({ host, port }: Listener): string {
  const name = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`;
}
