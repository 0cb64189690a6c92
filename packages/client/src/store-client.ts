import { type StoreCalls, StoreError } from '@stampede/server/api';
import { callsOver, type Invoker, invokerOver } from './call-table.js';
import type { Clock, Random } from './clock.js';
import { DOWNLOAD_TUNING, type DownloadTuning, download } from './download.js';
import { listBuckets, listObjects, listUploads } from './list.js';
import type { StoreClient } from './object-client.js';
import { onAbort } from './on-abort.js';
import { type RetryOptions, withRetries } from './retry.js';
import { systemClock, systemRandom } from './system-clock.js';
import { UPLOAD_TUNING, type UploadTuning, upload } from './upload.js';
import { watchObjects } from './watch.js';

export interface StoreClientOptions {
  readonly clock?: Clock;
  readonly random?: Random;
  readonly retry?: Omit<RetryOptions, 'clock' | 'random'>;
  readonly upload?: Partial<UploadTuning>;
  readonly download?: Partial<DownloadTuning>;
}

/**
 * The store's verbs over any calls: those of a store in the same process (then nothing is serialised), or of a
 * transport. Calls are repeated as the table of errors advises.
 *
 * @param calls   Stays open when the client is closed: it belongs to who made it.
 */
export function storeClientOver(calls: StoreCalls, options: StoreClientOptions = {}): StoreClient {
  return clientOver(invokerOver(calls), options, async () => {});
}

/** @param closeTransport   Called once, by the first `close`. */
export function clientOver(
  invoker: Invoker,
  options: StoreClientOptions,
  closeTransport: () => Promise<void>
): StoreClient {
  const retry = {
    ...options.retry,
    clock: options.clock ?? systemClock,
    random: options.random ?? systemRandom
  };
  const gate = new Gate(withRetries(invoker, retry));
  const calls = callsOver(gate);
  let closing: Promise<void> | undefined;
  const close = () => {
    gate.close();
    closing ??= closeTransport();
    return closing;
  };
  return {
    ...calls,
    upload: (input) => upload(calls, input, { ...UPLOAD_TUNING, ...options.upload }),
    download: (input) => download(calls, input, { ...DOWNLOAD_TUNING, ...options.download }),
    listObjects: (input) => listObjects(calls, input),
    listUploads: (input) => listUploads(calls, input),
    listBuckets: (input) => listBuckets(calls, input),
    watch: (input) => watchObjects(calls, input, retry),
    close,
    [Symbol.asyncDispose]: close
  };
}

/** Ends every call of a client that is closed, also those that wait for their next try. */
class Gate implements Invoker {
  readonly #inner: Invoker;
  readonly #closing = new AbortController();

  constructor(inner: Invoker) {
    this.#inner = inner;
  }

  close(): void {
    this.#closing.abort(closedError());
  }

  async call(...[name, input, options]: Parameters<Invoker['call']>): ReturnType<Invoker['call']> {
    using pass = this.#enter(options.signal);
    return await this.#inner.call(name, input, { ...options, signal: pass.signal });
  }

  async *watch(...[input, options]: Parameters<Invoker['watch']>): ReturnType<Invoker['watch']> {
    using pass = this.#enter(options.signal);
    yield* this.#inner.watch(input, { signal: pass.signal });
  }

  #enter(outer: AbortSignal | undefined): { readonly signal: AbortSignal } & Disposable {
    const { signal } = this.#closing;
    if (signal.aborted) throw closedError();
    return outer ? eitherOf(outer, signal) : { signal, [Symbol.dispose]: () => {} };
  }
}

/** Unlike `AbortSignal.any`, it leaves nothing behind in signals that live longer than the call. */
function eitherOf(a: AbortSignal, b: AbortSignal): { readonly signal: AbortSignal } & Disposable {
  const controller = new AbortController();
  const detach = [a, b].map((signal) => {
    const forward = () => controller.abort(signal.reason);
    if (signal.aborted) forward();
    return onAbort(signal, forward);
  });
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => {
      for (const remove of detach) remove();
    }
  };
}

function closedError(): StoreError {
  return new StoreError('Cancelled', 'the client was closed; create a new one');
}
