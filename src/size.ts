import { UsageError } from './usage-error.js';

const POWERS = ['', 'k', 'm', 'g', 't', 'p'];
const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** Parses `1.5GiB`, `64M` and `512k` (powers of 1024), `10MB` (powers of 1000), or a count of bytes. */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?|\.\d+)\s*([kmgtp]?)(i?b?)$/i.exec(text.trim());
  const [, amount = '', letter = '', suffix = ''] = match ?? [];
  const base = suffix.toLowerCase() === 'b' ? 1000 : 1024;
  const bytes = Math.round(Number(amount) * base ** POWERS.indexOf(letter.toLowerCase()));
  if (!match || (letter === '' && /i/i.test(suffix)) || !Number.isSafeInteger(bytes))
    throw new UsageError(`"${text}" is no size; write for example 1.5GiB, 64MiB, 10MB or 4096`);
  return bytes;
}

/** Three significant digits at least, in powers of 1024: `1.50 GiB`. */
export function formatSize(bytes: number): string {
  let power = 0;
  let amount = bytes;
  while (amount >= 1023.5 && power < UNITS.length - 1) {
    amount /= 1024;
    power += 1;
  }
  const digits = power === 0 || amount >= 99.95 ? 0 : amount >= 9.995 ? 1 : 2;
  return `${amount.toFixed(digits)} ${UNITS[power]}`;
}
