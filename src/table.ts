import Table from 'cli-table3';

const NO_LINES = Object.fromEntries(
  [
    ...['top', 'top-mid', 'top-left', 'top-right', 'bottom', 'bottom-mid', 'bottom-left', 'bottom-right'],
    ...['left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid']
  ].map((name) => [name, ''])
);

export interface TableOptions {
  readonly head?: readonly string[];
  /** Columns whose values are numbers. */
  readonly rightAligned?: readonly number[];
}

/** Rows as text in aligned columns, without lines between them, one row a line. */
export function formatTable(rows: readonly (readonly string[])[], options: TableOptions = {}): string {
  const { head, rightAligned = [] } = options;
  const columnCount = Math.max(head?.length ?? 0, ...rows.map((row) => row.length));
  const table = new Table({
    chars: { ...NO_LINES, middle: '  ' },
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
    colAligns: Array.from({ length: columnCount }, (_, index) =>
      rightAligned.includes(index) ? 'right' : 'left'
    )
  });
  if (head) table.push([...head]);
  for (const row of rows) table.push([...row]);
  const lines = table.toString().split('\n');
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`;
}
