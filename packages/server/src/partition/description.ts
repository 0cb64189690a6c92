import { LIMITS, type PosixAttributes, StoreError } from '../api/index.js';

/** What is said of an object besides its bytes. */
export interface Description {
  readonly contentType: string;
  readonly userMetadata: Readonly<Record<string, string>>;
  readonly tags: Readonly<Record<string, string>>;
  readonly attributes: PosixAttributes;
}

/** What a caller says anew; absent fields stay as they are. */
export interface GivenDescription {
  readonly contentType?: string | undefined;
  readonly userMetadata?: Readonly<Record<string, string>> | undefined;
  readonly tags?: Readonly<Record<string, string>> | undefined;
  readonly attributes?: { readonly [Name in keyof PosixAttributes]: PosixAttributes[Name] } | undefined;
}

export const NO_DESCRIPTION: Description = {
  contentType: 'application/octet-stream',
  userMetadata: {},
  tags: {},
  attributes: {}
};

/** Lays what is given over what was there: a field replaces, of attributes and of xattrs each one by itself. */
export function describe(base: Description, given: GivenDescription): Description {
  return {
    contentType: given.contentType ?? base.contentType,
    userMetadata: given.userMetadata ?? base.userMetadata,
    tags: given.tags ?? base.tags,
    attributes: given.attributes ? withAttributes(base.attributes, given.attributes) : base.attributes
  };
}

function withAttributes(base: PosixAttributes, given: PosixAttributes): PosixAttributes {
  const present = Object.entries(given).filter(([, value]) => value !== undefined);
  const xattrs = base.xattrs && given.xattrs ? { xattrs: { ...base.xattrs, ...given.xattrs } } : {};
  return { ...base, ...Object.fromEntries(present), ...xattrs };
}

export function withoutXattrs(description: Description, names: readonly string[] | undefined): Description {
  const { xattrs, ...attributes } = description.attributes;
  if (!xattrs || !names || names.length === 0) return description;
  const kept = Object.entries(xattrs).filter(([name]) => !names.includes(name));
  return {
    ...description,
    attributes: { ...attributes, ...(kept.length > 0 && { xattrs: Object.fromEntries(kept) }) }
  };
}

/** Only the descriptive fields of an input that are there. */
export function givenIn(input: GivenDescription): GivenDescription {
  const { contentType, userMetadata, tags, attributes } = input;
  return {
    ...(contentType !== undefined && { contentType }),
    ...(userMetadata !== undefined && { userMetadata }),
    ...(tags !== undefined && { tags }),
    ...(attributes !== undefined && { attributes })
  };
}

/** @throws StoreError `EntityTooLarge` */
export function checkDescription({ userMetadata, tags, attributes }: Description): void {
  let bytes = Buffer.byteLength(attributes.symlinkTarget ?? '');
  for (const fields of [userMetadata, tags])
    for (const [name, value] of Object.entries(fields))
      bytes += Buffer.byteLength(name) + Buffer.byteLength(value);
  for (const [name, value] of Object.entries(attributes.xattrs ?? {}))
    bytes += Buffer.byteLength(name) + value.length;
  if (bytes > LIMITS.objectMetadataBytesMax)
    throw new StoreError(
      'EntityTooLarge',
      `Metadata, tags and attributes have at most ${LIMITS.objectMetadataBytesMax} bytes together. Give less.`
    );
}
