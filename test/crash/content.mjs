// What version `version` of file `file` holds: a size and bytes that follow from both numbers.

/** Mostly small, sometimes a few MiB. */
export function sizeOf(file, version) {
  const mixed = mix(file, version);
  return mixed % 13 === 0 ? mixed % (6 * 1024 * 1024) : mixed % 60_000;
}

export function contentOf(file, version) {
  const content = Buffer.allocUnsafe(sizeOf(file, version));
  let state = mix(version, file);
  for (let at = 0; at + 4 <= content.length; at += 4) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    content.writeUInt32LE(state, at);
  }
  content.fill(version & 0xff, content.length - (content.length % 4));
  return content;
}

function mix(a, b) {
  let hash = (Math.imul(a + 0x9e3779b9, 0x85ebca6b) ^ Math.imul(b + 0x7f4a7c15, 0xc2b2ae35)) >>> 0;
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) >>> 0;
  return (hash ^ (hash >>> 12)) >>> 0;
}
