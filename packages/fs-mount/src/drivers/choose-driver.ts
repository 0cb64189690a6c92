import type { OnMountEvent } from '../mount-event.js';
import type { Driver } from './driver.js';
import { fuseNativeDriver } from './fuse-native.js';
import { linuxDriver, whyNoLinuxDriver } from './linux.js';

export const DRIVER_NAMES = ['linux', 'fuse-native'] as const;
export type DriverName = (typeof DRIVER_NAMES)[number];

const DRIVERS = {
  linux: linuxDriver,
  'fuse-native': fuseNativeDriver
} as const satisfies Record<DriverName, () => Driver>;

/** The driver of a name; without one the best this machine has, and an event where that is not the best there is. */
export function chooseDriver(name: DriverName | undefined, onEvent: OnMountEvent): Driver {
  if (name !== undefined) return DRIVERS[name]();
  const why = whyNoLinuxDriver();
  if (why === undefined) return linuxDriver();
  onEvent({ type: 'driverMissing', driver: 'linux', why });
  return fuseNativeDriver();
}
