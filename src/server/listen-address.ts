/** Of an address that the configuration has: `host:port` or `[::1]:port`. */
export function splitAddress(address: string): { readonly host: string; readonly port: number } {
  const end = address.lastIndexOf(':');
  return { host: address.slice(0, end).replace(/^\[|\]$/g, ''), port: Number(address.slice(end + 1)) };
}
