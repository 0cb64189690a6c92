export type { AppRouter, Credentials } from './frontend/index.js';
export { type Platform, type Stamp, type StampOptions, startStamp, VERSION } from './stamp.js';
