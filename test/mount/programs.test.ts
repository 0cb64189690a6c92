import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { ROOT, scratch, startStore, withoutFuse } from '../support/store-process.js';

/*
 * Programs people use, on the drive, each compared with the same on a plain folder. Shell scripts get $DRIVE and $PLAIN and
 * succeed or fail; whatever a script prints is shown when it fails.
 */

const run = promisify(execFile);

/** Scripts run once on each side, in a folder of their own, and must print the same on both. */
const SAME_ON_BOTH: readonly { readonly name: string; readonly script: string; readonly needs?: string }[] = [
  {
    name: 'cp, mv, rm and ls agree on names and sizes',
    script:
      'mkdir -p a/b; seq 1 1000 > a/one; cp a/one a/b/two; mv a/b/two a/three; rm a/one; ls -R; wc -c a/three'
  },
  {
    name: 'names with spaces, newlines and accents stay what they are',
    script: `touch 'a b' "line
break" 'äöü' '-dash' '日本語'; ls -1 --quoting-style=c | sort`
  },
  {
    name: 'appending and overwriting in the middle keep the rest',
    script: `seq 1 5000 > f; echo tail >> f; printf XYZ | dd of=f bs=1 seek=777 conv=notrunc status=none; md5sum < f; stat -c %s f`
  },
  {
    name: 'dd at odd offsets and sizes',
    script: `dd if=/dev/zero bs=4097 count=33 status=none | tr '\\0' q > f; seq 1 99999 | dd of=f bs=131 seek=77 count=500 conv=notrunc iflag=fullblock status=none; md5sum < f`
  },
  {
    name: 'truncate makes holes that read as zeros',
    script:
      'seq 1 100 > f; truncate -s 1000000 f; truncate -s 999 f; truncate -s 5000 f; md5sum < f; stat -c %s f'
  },
  {
    name: 'symbolic links are followed and read back',
    script:
      'mkdir d; echo hi > d/f; ln -s d/f link; ln -s d dir-link; ln -s nowhere broken; cat link dir-link/f; readlink broken; ls -l link | sed "s/.*link/link/"'
  },
  { name: 'modes are kept', script: 'echo x > f; chmod 640 f; mkdir d; chmod 750 d; stat -c %a f d' },
  {
    name: 'times set by touch are kept',
    script: 'echo x > f; touch -d "2001-02-03 04:05:06 UTC" f; stat -c %Y f'
  },
  {
    name: 'rmdir refuses a directory that is not empty',
    script: 'mkdir -p d/e; rmdir d 2>/dev/null && echo removed; rmdir d/e d; ls'
  },
  {
    name: 'renames replace files and move directories',
    script:
      'echo 1 > a; echo 2 > b; mv a b; cat b; mkdir -p x/y; echo 3 > x/y/z; mv x w; cat w/y/z; mkdir e; mv -T w/y e; cat e/z'
  },
  {
    name: 'a file that was unlinked stays readable through its handle',
    script: 'seq 1 10000 > f; exec 3< f; rm f; ls; md5sum <&3'
  },
  { name: 'sed -i saves by rename', script: 'seq 1 100 > f; sed -i s/5/five/ f; md5sum < f; ls' },
  {
    name: 'tar packs and unpacks',
    script:
      'mkdir -p t/u; seq 1 3000 > t/u/f; ln -s u/f t/l; tar cf t.tar t; mkdir o; tar xf t.tar -C o; diff -r t o/t && echo same'
  },
  {
    name: 'find and du see every file',
    script:
      'for i in $(seq 1 300); do mkdir -p d$((i % 7)); echo $i > d$((i % 7))/f$i; done; find . -type f | sort | md5sum; find . -name "f1*" | wc -l'
  },
  {
    name: 'sort writes a large file through temporary files',
    script: 'seq 1 200000 | sort -R --random-source=/bin/sh > f; sort -n -T . f | md5sum; wc -c < f'
  },
  {
    name: 'git keeps a repository',
    needs: 'git',
    script: `export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z'; git init -q -b main r; cd r; git config user.name n; git config user.email e@example.com
for i in 1 2 3 4 5; do seq 1 $((i * 100)) > f$i; git add .; git commit -qm "c$i"; done; git fsck --no-progress 2>&1; git gc -q; git status --short; git log --format=%H; git clone -q . ../c; diff -r --exclude=.git . ../c && echo same`
  },
  {
    name: 'sqlite keeps a database with a rollback journal',
    needs: 'sqlite3',
    script: `sqlite3 d.db "create table t(a integer primary key, b text); with recursive c(x) as (select 1 union all select x+1 from c where x<2000) insert into t select x, hex(x*7919) from c; update t set b = b || 'x' where a % 3 = 0; delete from t where a % 5 = 0;"; for i in 1 2 3 4 5; do sqlite3 d.db "insert into t(b) values('$i')"; done; sqlite3 d.db "pragma integrity_check; select count(*), sum(length(b)) from t"`
  },
  {
    name: 'rsync copies once and then has nothing to do',
    needs: 'rsync',
    script:
      'mkdir -p src/d; seq 1 100 > src/a; seq 1 999 > src/d/b; rsync -r --checksum src/ dst/; rsync -r --checksum --itemize-changes src/ dst/; diff -r src dst && echo same'
  }
];

t.test(
  'programs do on the drive what they do on a plain folder',
  { skip: withoutFuse(), timeout: 600_000 },
  async (t) => {
    using folder = scratch();
    const drive = join(folder.path, 'drive');
    const plain = join(folder.path, 'plain');
    mkdirSync(drive);
    mkdirSync(plain);
    await using _store = await startStore({ data: join(folder.path, 'data'), mount: drive });
    for (const [index, { name, script, needs }] of SAME_ON_BOTH.entries()) {
      const skip = needs !== undefined && !(await isInstalled(needs)) ? `${needs} is not installed` : false;
      await t.test(name, { skip }, async (t) => {
        const [onDrive, onPlain] = [
          await outputOf(join(drive, `case-${index}`), script),
          await outputOf(join(plain, `case-${index}`), script)
        ];
        t.equal(onDrive, onPlain);
      });
    }

    await t.test(
      'a tree of several thousand files is the same after copying in and after a restart',
      async (t) => {
        const source = join(ROOT, 'node_modules/zod');
        await run('cp', ['-r', source, join(drive, 'tree')]);
        t.equal((await run('diff', ['-r', source, join(drive, 'tree')])).stdout, '');
      }
    );
  }
);

async function outputOf(directory: string, script: string): Promise<string> {
  const { stdout } = await run('bash', ['-euc', `mkdir -p "$0"; cd "$0"; umask 022; ${script}`, directory], {
    maxBuffer: 1 << 26,
    timeout: 120_000
  }).catch((error: Error & { stderr?: string; stdout?: string }) => {
    return { stdout: `${error.message}\n${error.stdout ?? ''}\n${error.stderr ?? ''}` };
  });
  return stdout.replaceAll(directory, 'DIR');
}

async function isInstalled(command: string): Promise<boolean> {
  return run('which', [command]).then(
    () => true,
    () => false
  );
}
