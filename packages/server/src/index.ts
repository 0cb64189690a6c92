export type { MetaStore } from './coordination/index.js';
export type { AppRouter, Credentials } from './frontend/index.js';
export { type FrontEndRole, type Server, type ServerOptions, startServer } from './roles/start-server.js';
export { type Platform, type Stamp, type StampOptions, startStamp } from './stamp.js';
export { VERSION } from './version.js';
