export type { CacheDisk, CacheFile, DiskSpace, ListedFile } from './cache-disk.js';
export { cacheIdOf } from './cache-name.js';
export { DiskCache, type DiskCacheOptions } from './disk-cache.js';
export { CELL_BYTES } from './sums.js';
