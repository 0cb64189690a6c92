export { AllBucketsFileSystem, type AllBucketsOptions } from './all-buckets-file-system.js';
export { OPEN_COUNT_MAX } from './open-buckets.js';
