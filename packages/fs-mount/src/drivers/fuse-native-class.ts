import { ERRNO } from '../errno.js';
import type { DriverOptions } from './driver.js';
import type { FuseBase, FuseConstructor, Handler, Signal } from './fuse-native-binding.js';
import { readUtimens } from './fuse-native-format.js';

const OP_UTIMENS = 12;
const REQUEST_BYTES_MAX = 128 * 1024;
const WORD = 2 ** 32;

/** What the class passes on differently from the package; the operations of the table answer `done(result, value)`. */
interface DriverFuse extends FuseBase {
  readonly ops: Record<string, (...parameters: unknown[]) => void>;
}

/** fuse-native's class with the mount options it does not know and the answers it gets wrong. */
export function driverClass(Fuse: FuseConstructor, options: DriverOptions): FuseConstructor {
  // Its own way to unmount needs a shell and a command that may not be installed; the driver has unmounted already.
  Fuse.unmount = (_directory, done) => done(null);
  return class extends (Fuse as unknown as new (
    ...parameters: ConstructorParameters<FuseConstructor>
  ) => DriverFuse) {
    static unmount = Fuse.unmount;
    #utimensRequest: Buffer | undefined;

    override _fuseOptions(): string {
      return `-o${mountOptions(options).join(',')}`;
    }

    override _makeHandlerArray(): (Handler | undefined)[] {
      const handlers = super._makeHandlerArray();
      const utimens = handlers[OP_UTIMENS]!;
      handlers[OP_UTIMENS] = (native, operation, ...parameters) => {
        this.#utimensRequest = native;
        utimens(native, operation, ...parameters);
      };
      return handlers;
    }

    _op_utimens(signal: Signal, path: string, atimeLow: number, atimeHigh: number): void {
      const times = readUtimens(this.#utimensRequest!, atimeLow + atimeHigh * WORD);
      this.ops.utimens!(path, times, signal);
    }

    _op_getattr(signal: Signal, path: string): void {
      this.ops.getattr!(path, signal);
    }

    _op_fgetattr(signal: Signal, path: string, handle: number): void {
      this.ops.fgetattr!(path, handle, signal);
    }

    _op_readdir(signal: Signal, path: string): void {
      this.ops.readdir!(path, signal);
    }

    _op_getxattr(signal: Signal, path: string, name: string, room: Buffer): void {
      this.ops.getxattr!(path, name, (result: number, value?: Uint8Array) =>
        signal(value ? fill(room, value) : result, room.buffer)
      );
    }

    _op_listxattr(signal: Signal, path: string, room: Buffer): void {
      this.ops.listxattr!(path, (result: number, names?: readonly string[]) => {
        const list = names && Buffer.from(names.map((name) => `${name}\0`).join(''));
        signal(list ? fill(room, list) : result, room.buffer);
      });
    }
  } as unknown as FuseConstructor;
}

function mountOptions(options: DriverOptions): string[] {
  const ttlSeconds = options.attributeTtlMs / 1000;
  return [
    `fsname=${options.source.replaceAll(/[^\w./:-]/g, '_')}`,
    'subtype=stampede',
    // Without it every write arrives in pieces of 4 KiB.
    'big_writes',
    `max_read=${REQUEST_BYTES_MAX}`,
    'atomic_o_trunc',
    // There is no way to see who asks, so the kernel compares owner and mode.
    'default_permissions',
    `attr_timeout=${ttlSeconds}`,
    `entry_timeout=${ttlSeconds}`,
    `negative_timeout=${ttlSeconds}`,
    ...(options.allowOther ? ['allow_other'] : []),
    ...(options.readOnly ? ['ro'] : [])
  ];
}

/** Copies a value into the caller's room and returns its length; no room at all asks for the length only. */
function fill(room: Buffer, value: Uint8Array): number {
  if (room.length === 0) return value.byteLength;
  if (value.byteLength > room.length) return -ERRNO.ERANGE;
  room.set(value);
  return value.byteLength;
}
