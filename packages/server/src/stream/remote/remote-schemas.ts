import { z } from 'zod';
import {
  bytesSchema,
  type ExtentId,
  type FaultDomain,
  type MemberId,
  type StreamId
} from '../../api/index.js';

/* Fields of the messages between roles of the stream layer. */

const count = z.int().nonnegative();

export const extentIdSchema = z.int().nonnegative() as unknown as z.ZodType<ExtentId, ExtentId>;
export const memberIdSchema = z.string().min(1).max(128) as unknown as z.ZodType<MemberId, MemberId>;
export const faultDomainSchema = z.string().min(1).max(128) as unknown as z.ZodType<FaultDomain, FaultDomain>;
export const streamIdSchema = z.string().min(1).max(256) as unknown as z.ZodType<StreamId, StreamId>;
export const epochSchema = count;
export const offsetSchema = count;
export const lengthSchema = count;
/** Bytes a second. */
export const rateSchema = z.number().positive();
export const durabilitySchema = z.enum(['sync', 'os']);
export const spaceUseSchema = z.enum(['bytes', 'changes', 'frees']);
export const nodeStatusSchema = z.object({
  memberId: memberIdSchema,
  faultDomain: faultDomainSchema,
  totalBytes: lengthSchema,
  freeBytes: lengthSchema,
  extentCount: lengthSchema,
  room: z.enum([...spaceUseSchema.options, 'none'])
});
export { bytesSchema };
