declare const brand: unique symbol;
type Branded<Base, Name extends string> = Base & { readonly [brand]: Name };

/** Allocated by the stream manager, in growing order, never reused. */
export type ExtentId = Branded<number, 'ExtentId'>;
/** A stream's name, unique in its stamp: `<partition>/<role>`. */
export type StreamId = Branded<string, 'StreamId'>;
export type PartitionId = Branded<string, 'PartitionId'>;
/** A process of a stamp; an extent node keeps its id in its folder. */
export type MemberId = Branded<string, 'MemberId'>;
/** A rack, or whatever may fail as one. */
export type FaultDomain = Branded<string, 'FaultDomain'>;

export const extentId = (value: number): ExtentId => value as ExtentId;
export const streamId = (value: string): StreamId => value as StreamId;
export const partitionId = (value: string): PartitionId => value as PartitionId;
export const memberId = (value: string): MemberId => value as MemberId;
export const faultDomain = (value: string): FaultDomain => value as FaultDomain;
