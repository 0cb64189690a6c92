import { StoreError, type UsageResult } from '../api/index.js';
import type { Place } from './mutation.js';
import { decodeObjectRecord, type ObjectRecord } from './object-record.js';
import { bucketRow, objectRow, pageRow, type RowKey, uploadRow, usageRow } from './row-key.js';
import type { SliceMap } from './slice-map.js';
import { openSliceMap, type SliceRecord } from './slice-pages.js';
import {
  type BucketRecord,
  decodeBucketRecord,
  decodeUploadRecord,
  decodeUsage,
  type UploadRecord
} from './small-records.js';

/** An object's record with its map; the map of a change must be made from this one. */
export interface OpenedObject {
  readonly record: ObjectRecord;
  readonly map: SliceMap;
}

interface UploadName extends Place {
  readonly uploadId: string;
}

/** The tables of a partition over its rows. Lookups are synchronous: what is seen in one turn belongs together. */
export class RowView {
  readonly #get: (key: RowKey) => Uint8Array | undefined;

  constructor(get: (key: RowKey) => Uint8Array | undefined) {
    this.#get = get;
  }

  get(key: RowKey): Uint8Array | undefined {
    return this.#get(key);
  }

  findBucket(bucket: string): BucketRecord | undefined {
    const row = this.get(bucketRow(bucket));
    return row && decodeBucketRecord(row);
  }

  /** @throws StoreError `NoSuchBucket` */
  bucket(bucket: string): BucketRecord {
    const found = this.findBucket(bucket);
    if (!found) throw new StoreError('NoSuchBucket', `There is no bucket ${bucket}. Create it first.`);
    return found;
  }

  usage(bucket: string): UsageResult {
    return decodeUsage(this.get(usageRow(bucket)));
  }

  find({ bucket, key }: Place): ObjectRecord | undefined {
    const row = this.get(objectRow(bucket, key));
    return row && decodeObjectRecord(row);
  }

  /** @throws StoreError `NoSuchKey` */
  object(place: Place): ObjectRecord {
    const found = this.find(place);
    if (!found) throw new StoreError('NoSuchKey', `There is no object ${place.key} in ${place.bucket}.`);
    return found;
  }

  findUpload({ bucket, key, uploadId }: UploadName): UploadRecord | undefined {
    const row = this.get(uploadRow(bucket, key, uploadId));
    return row && decodeUploadRecord(row);
  }

  open(record: ObjectRecord): OpenedObject {
    return { record, map: this.openMap(record) };
  }

  openMap(record: SliceRecord): SliceMap {
    return openSliceMap(record, (layoutId, pageNumber) => this.get(pageRow(layoutId, pageNumber)));
  }
}
