import type { CallCount, Monitor, OperationSubject } from '../monitor/index.js';
import type { OperationTable } from './fuse-native-binding.js';

type Done = (result: number, ...values: readonly unknown[]) => void;
type Operation = (...parameters: unknown[]) => void;

/** Reports every operation of a table to the monitor: a negative result is an errno, that of a read or write a count. */
export function countedOperations(table: OperationTable, monitor: Monitor): OperationTable {
  const counted = Object.entries(table).map(([name, operation]): [string, Operation] => [
    name,
    countedOperation(name, operation as unknown as Operation, monitor)
  ]);
  return Object.fromEntries(counted) as unknown as OperationTable;
}

function countedOperation(name: string, operation: Operation, monitor: Monitor): Operation {
  const count: CallCount = monitor.operations.of(name);
  return (...parameters) => {
    const done = parameters.pop() as Done;
    const startedAtMs = monitor.nowMs();
    const subject = monitor.log.isRead ? subjectOf(name, parameters) : undefined;
    operation(...parameters, (result: number, ...values: readonly unknown[]) => {
      if (name === 'read' && result > 0) monitor.readBytes += result;
      else if (name === 'write' && result > 0) monitor.writtenBytes += result;
      monitor.ended(count, { startedAtMs, errno: Math.max(0, -result), subject });
      done(result, ...values);
    });
  };
}

function subjectOf(name: string, parameters: readonly unknown[]): OperationSubject {
  const [first, second] = parameters;
  // The target of a link comes first, and is no path of the drive.
  if (name === 'symlink') return { path: String(second) };
  const path = String(first);
  if (name === 'rename' || name === 'link') return { path, details: `to=${JSON.stringify(second)}` };
  if (name !== 'read' && name !== 'write') return { path };
  const [, , , length, offset] = parameters;
  return { path, details: `${offset}+${length}` };
}
