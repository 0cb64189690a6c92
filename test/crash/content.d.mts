export function sizeOf(file: number, version: number): number;
export function contentOf(file: number, version: number): Buffer;
