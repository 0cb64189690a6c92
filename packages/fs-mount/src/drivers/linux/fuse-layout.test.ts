import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import {
  FATTR,
  FOPEN,
  INIT_FLAG,
  LOCK_INIT_FLAG,
  NOTIFY,
  OPCODE,
  PROTOCOL,
  REQUEST_FLAG
} from './fuse-constants.js';
import { REPLY } from './fuse-replies.js';
import { REQUEST } from './fuse-requests.js';

/* The numbers of the protocol beside the kernel's own header, which a C program reads out. */

const HEADER = '/usr/include/linux/fuse.h';
const NUMBERS = {
  ...PROTOCOL,
  ...OPCODE,
  ...INIT_FLAG,
  ...LOCK_INIT_FLAG,
  ...FATTR,
  ...FOPEN,
  ...REQUEST_FLAG,
  ...NOTIFY
};
const STRUCTS = { ...REQUEST, ...REPLY };

t.test('offsets, sizes and numbers are those of <linux/fuse.h>', { skip: whyNot() }, (t) => {
  const said = JSON.parse(runC(program())) as Record<string, number>;
  for (const [name, value] of Object.entries(NUMBERS)) t.equal(value, said[name], name);
  for (const [struct, { bytes, ...fields }] of Object.entries(STRUCTS)) {
    t.equal(bytes, said[struct], `sizeof ${struct}`);
    for (const [field, offset] of Object.entries(fields))
      t.equal(offset, said[`${struct}.${field}`], `${struct}.${field}`);
  }
  t.end();
});

function program(): string {
  const lines: string[] = [];
  for (const name of Object.keys(NUMBERS)) lines.push(`say("${name}", (long)${name});`);
  for (const [struct, { bytes: _, ...fields }] of Object.entries(STRUCTS)) {
    lines.push(`say("${struct}", sizeof(struct ${struct}));`);
    for (const field of Object.keys(fields))
      lines.push(`say("${struct}.${field}", offsetof(struct ${struct}, ${field}));`);
  }
  return `#include <linux/fuse.h>
#include <stddef.h>
#include <stdio.h>
static void say(const char *name, long value) { printf(",\\"%s\\":%ld", name, value); }
int main(void) { printf("{\\"\\":0"); ${lines.join('\n')} printf("}"); return 0; }
`;
}

function runC(source: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'stampede-fuse-layout-'));
  try {
    writeFileSync(join(folder, 'layout.c'), source);
    execFileSync('cc', ['-w', '-o', join(folder, 'layout'), join(folder, 'layout.c')]);
    return execFileSync(join(folder, 'layout'), { encoding: 'utf8' });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function whyNot(): string | false {
  if (!existsSync(HEADER)) return `there is no ${HEADER} on this machine`;
  try {
    execFileSync('cc', ['--version'], { stdio: 'ignore' });
    return false;
  } catch {
    return 'there is no C compiler on this machine';
  }
}
