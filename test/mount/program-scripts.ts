/** A script for `bash -eu` in a folder of its own; `needs` names a program that may be missing. */
export interface ProgramScript {
  readonly name: string;
  readonly script: string;
  readonly needs?: string;
}

/** Scripts run once on each side, in a folder of their own, and must print the same on both. */
export const PROGRAM_SCRIPTS: readonly ProgramScript[] = [
  {
    name: 'cp, mv, rm and ls agree on names and sizes',
    script:
      'mkdir -p a/b; seq 1 1000 > a/one; cp a/one a/b/two; mv a/b/two a/three; rm a/one; ls -R; wc -c a/three'
  },
  {
    name: 'names with spaces, newlines and accents stay what they are',
    script: `touch -- 'a b' "line
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
  },
  {
    name: 'rsync keeps modes, times and links, and finds nothing more to do',
    needs: 'rsync',
    script:
      'mkdir -p src/d; seq 1 100 > src/a; seq 1 999 > src/d/b; ln -s d/b src/l; chmod 600 src/a; touch -d "2011-12-13 14:15:16 UTC" src/a src/d/b; rsync -a src/ dst/; rsync -a --itemize-changes src/ dst/; stat -c "%Y %a" dst/a dst/d/b; readlink dst/l'
  },
  {
    name: 'rsync changes a large file in place',
    needs: 'rsync',
    script:
      'seq 1 300000 > src; cp src dst; printf changed | dd of=src bs=1 seek=999999 conv=notrunc status=none; rsync --inplace --no-whole-file --ignore-times src dst; cmp src dst && echo same'
  },
  {
    name: 'extended attributes are kept, listed and removed',
    needs: 'setfattr',
    script:
      'echo x > f; mkdir d; setfattr -n user.one -v first f; setfattr -n user.two -v second f; setfattr -n user.d -v dir d; getfattr -d f d | sort; setfattr -x user.one f; getfattr -n user.one f 2>/dev/null || echo gone; mv f g; getfattr -n user.two --only-values g'
  },
  {
    name: 'vim saves a file',
    needs: 'vim',
    script: 'seq 1 100 > f; vim -u NONE -es -c "%s/5/five/g" -c wq f < /dev/null; md5sum < f; ls -A'
  },
  {
    name: 'a file that was unlinked takes writes and is read back through its handle',
    script:
      'seq 1 1000 > f; exec 3<> f; rm f; echo changed >&3; cat /proc/self/fd/3 | md5sum; echo more >> /proc/self/fd/3; exec 4< /proc/self/fd/3; md5sum <&4; ls -A; exec 3>&- 4>&-; ls -A'
  },
  {
    name: 'a file that is replaced while it is open stays what it was for its reader',
    script: 'seq 1 10000 > f; exec 3< f; echo new > g; mv g f; md5sum <&3; cat f; exec 3>&-; ls -A; cat f'
  },
  {
    name: 'a directory that is moved takes its open files along',
    script: 'mkdir a; exec 3> a/f; echo one >&3; mv a b; echo two >&3; exec 3>&-; cat b/f; ls -A'
  },
  {
    name: 'writers that append at the same time lose nothing',
    script:
      'for i in 1 2 3 4; do (for j in $(seq 1 100); do echo "$i $j" >> log; done) & done; wait; sort log | md5sum; wc -l < log'
  },
  {
    name: 'a pattern of writes in a file that stays open is there before it is closed',
    script: 'exec 3<> f; seq 1 500 >&3; md5sum < f; truncate -s 700 f; md5sum < f; seq 1 9 >&3; md5sum < f'
  },
  {
    name: 'ten thousand files in one directory are made, listed and removed',
    script:
      'mkdir many; cd many; seq 1 10000 | xargs touch; ls | wc -l; ls | md5sum; ls -l | wc -l; rm f 2>/dev/null || true; cd ..; rm -r many; ls -A'
  },
  {
    name: 'trees are removed by rm -r and find -delete',
    script:
      'for i in 1 2 3 4 5; do mkdir -p a/$i/x/y b/$i/x; echo $i > a/$i/x/y/f; echo $i > b/$i/x/f; done; rm -r a; find b -name f -delete; find b | sort; find b -delete; ls -A'
  },
  {
    name: 'cp -a keeps modes, times and links',
    script:
      'mkdir -p s/d; echo x > s/d/f; ln -s f s/d/l; chmod 604 s/d/f; touch -d "2001-02-03 04:05:06 UTC" s/d/f; cp -a s t; stat -c "%a %Y %s" t/d/f; readlink t/d/l; touch -d "2040-05-06 07:08:09 UTC" s/d/f; stat -c %Y s/d/f'
  },
  {
    name: 'long names are kept and longer ones refused',
    script:
      'n=$(printf "%0255d" 7); echo x > $n; ls; cat $n; echo y > "$n"8 2>/dev/null || echo refused; m=$(printf "é%.0s" $(seq 127)); echo z > $m; cat $m; ls | wc -l'
  },
  {
    name: 'named pipes and sockets have their kind',
    script: 'mkfifo p; stat -c %F p; (echo through > p &); cat p; ls -A; rm p; ls -A'
  },
  {
    name: 'mapped files are read and written',
    needs: 'python3',
    script: `python3 -c "
import mmap
open('f','wb').write(bytes(range(256))*400)
with open('f','r+b') as f:
  m=mmap.mmap(f.fileno(),0)
  m[5000:5005]=b'abcde'; m[99999:100003]=b'wxyz'; m.flush()
  m[70000:70001]=b'!'
  m.close()
"; md5sum < f`
  },
  {
    name: 'a file that is open for appending can be mapped and changed',
    needs: 'python3',
    script: `python3 -c "
import mmap, os
open('f','wb').write(bytes(range(256))*40)
f=os.open('f',os.O_RDWR|os.O_APPEND)
m=mmap.mmap(f,0)
m[0:3]=b'xyz'; m[9000:9003]=b'uvw'; m.flush(); m.close()
os.write(f,b'tail'); os.close(f)
"; md5sum < f; stat -c %s f`
  },
  {
    name: 'sqlite keeps a database with a write-ahead log',
    needs: 'sqlite3',
    script: `sqlite3 d.db "pragma journal_mode=wal; create table t(a integer primary key, b text); with recursive c(x) as (select 1 union all select x+1 from c where x<3000) insert into t select x, hex(x*7919) from c"; for i in 1 2 3 4 5; do sqlite3 d.db "insert into t(b) values('$i'); update t set b = b || 'x' where a % 7 = $i"; done; sqlite3 d.db "vacuum; pragma wal_checkpoint(truncate)" ; sqlite3 d.db "pragma integrity_check; select count(*), sum(length(b)) from t"; ls`
  },
  {
    name: 'make builds what is older than its source',
    needs: 'make',
    script: `printf 'out: in\\n\\tcp in out; echo built\\n' > Makefile; echo 1 > in; make -s; make; touch -d "+1 minute" in; make -s; cat out`
  },
  {
    name: 'locks keep two programs apart',
    needs: 'flock',
    script:
      'echo 0 > n; for i in 1 2 3 4 5 6; do flock lock sh -c "read x < n; echo \\$((x + 1)) > n" & done; wait; cat n'
  },
  {
    name: 'modes are obeyed by programs that ask',
    script:
      'umask 027; mkdir d; echo x > d/f; stat -c %a d d/f; chmod a+x d/f; test -x d/f && echo executable; printf "#!/bin/sh\\necho ran\\n" > s; chmod +x s; ./s; install -m 751 s t; stat -c %a t'
  },
  {
    name: 'reading, seeking and copying parts with dd, head, tail and split',
    script:
      'seq 1 100000 > f; tail -c 1000 f | md5sum; head -c 123457 f | md5sum; dd if=f bs=1000 skip=123 count=77 status=none | md5sum; split -b 99991 f part-; cat part-* | cmp - f && echo same; ls part-* | wc -l'
  },
  {
    name: 'truncating while writing, in every order',
    script:
      'for n in 0 1 4095 4096 4097 131071 131072 131073 5000000; do seq 1 30000 > f; truncate -s $n f; printf end >> f; md5sum < f; : > f; stat -c %s f; done'
  },
  {
    name: 'sparse files keep their holes as zeros',
    script:
      'dd if=/dev/zero of=f bs=1 count=0 seek=20M status=none; printf x | dd of=f bs=1 seek=9999999 conv=notrunc status=none; md5sum < f; cp --sparse=always f g; cmp f g && echo same; rm f; md5sum < g'
  }
];
