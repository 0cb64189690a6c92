import { type DestinationStream, type Logger, pino } from 'pino';
import pretty from 'pino-pretty';

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LEVELS)[number];

export interface LogStream extends DestinationStream {
  readonly isTTY?: boolean;
}

/** What long-running commands say while they run: JSON lines, or readable ones on a terminal. */
export type Log = Logger;

export function isLogLevel(text: string): text is LogLevel {
  return (LEVELS as readonly string[]).includes(text);
}

export interface LogOptions {
  /** Absent: all that is worth knowing later, and to a person at a terminal only what is wrong. */
  readonly level: LogLevel | undefined;
  readonly hasColor: boolean;
}

export function openLog(stream: LogStream, { level, hasColor }: LogOptions): Log {
  const options = {
    level: level ?? (stream.isTTY ? 'warn' : 'info'),
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) }
  };
  const target = stream.isTTY
    ? pretty({ destination: stream as never, colorize: hasColor, translateTime: 'SYS:HH:MM:ss', sync: true })
    : stream;
  return pino(options, target);
}
