import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
/** Beside `src` and `dist` alike. */
const BUILD_FOLDER = fileURLToPath(new URL('../../../native/build/', import.meta.url));

declare const CHANNEL: unique symbol;
/** An open device. */
export type Channel = { readonly [CHANNEL]: true };

/** The C part; numbers below zero are negative errnos. See native/fuse-device.h. */
export interface Addon {
  mountDirectory(directory: string, source: string, options: string): number;
  socketPair(): readonly [number, number] | number;
  receiveDevice(socket: number): number;
  closeDescriptor(descriptor: number): number;
  lockFile(descriptor: number): number;
  /** How many bytes were in the kernel's cache; 0 also for what cannot be read. */
  readNow(descriptor: number, into: Uint8Array, offset: number): number;
  attach(
    device: number,
    slots: readonly Buffer[],
    head: Buffer,
    onRequest: (slot: number, length: number) => boolean,
    onEnd: (errno: number) => void
  ): Channel;
  reply(channel: Channel, headBytes: number, pieces?: readonly Uint8Array[]): number;
  release(channel: Channel, slot: number): number;
  backingOpen(channel: Channel, descriptor: number): number;
  backingClose(channel: Channel, id: number): number;
  detach(channel: Channel): number;
  startNotifying(channel: Channel): number;
  notify(channel: Channel, notifier: number, messages: Uint8Array, onDone: () => void): number;
}

/** The addon for this Node, or why there is none. */
export function loadAddon(): Addon | string {
  if (process.platform !== 'linux') return 'it is for Linux';
  const name = `fuse-device-${process.platform}-${process.arch}-${process.versions.modules}.node`;
  const path = `${BUILD_FOLDER}${name}`;
  if (!existsSync(path)) return 'it was not built (node packages/fs-mount/native/build.mjs builds it)';
  try {
    return require(path) as Addon;
  } catch (error) {
    return `it does not load: ${String(error)}`;
  }
}
