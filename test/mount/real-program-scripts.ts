/** A script for `bash -eu` in an empty folder. It must print the same and leave the same tree wherever the folder is. */
export interface RealProgramScript {
  readonly name: string;
  readonly script: string;
  readonly needs: readonly string[];
  /** What the fuse-native driver cannot do. */
  readonly isForLinuxOnly?: true;
}

/** How many files the scripts with very many of them make. */
const FILES = Number(process.env['REAL_FILES'] ?? 2000);

/** A tree with all that copying may lose; the times are old, so that a copy with a new one shows. */
const TREE = `
  mkdir -p "src/one/two" "src/with blank" src/empty
  seq 1 40000 > src/one/numbers; printf x > "src/with blank/é"; : > src/none
  head -c 4097 src/one/numbers > src/one/two/page; truncate -s 300000 src/sparse; printf end >> src/sparse
  ln -s one/numbers src/link; ln -s ../none src/one/up; ln -s nowhere src/broken; ln -s one src/dir-link
  chmod 600 src/none; chmod 755 src/one/numbers; chmod 2750 src/one/two; chmod 700 src/empty
  setfattr -n user.one -v first src/none; setfattr -n user.two -v second src/one
  touch -h -d '2001-02-03 04:05:06.123456789 UTC' src/link src/broken
  touch -d '2002-03-04 05:06:07.987654321 UTC' src/none src/one/numbers src/sparse "src/with blank/é"
  touch -d '1999-12-31 23:59:59.5 UTC' src/one/two/page src/one/two src/one src/empty "src/with blank" src
`;

const GIT = `export HOME="$PWD" GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z'
  git config --global user.name n; git config --global user.email e@example.com; git config --global init.defaultBranch main
  git config --global advice.detachedHead false; git config --global gc.auto 0`;

export const REAL_PROGRAM_SCRIPTS: readonly RealProgramScript[] = [
  {
    name: 'rsync -a copies a tree with all there is to it, and then only what changed',
    needs: ['rsync', 'setfattr'],
    script: `${TREE}
      rsync -aX src/ dst/; rsync -aXi src/ dst/; echo first
      touch -d '2003-01-01 UTC' src/none; echo more >> src/one/numbers; rm src/sparse; chmod 640 "src/with blank/é"
      rsync -aXi --delete src/ dst/ | sort; rsync -aXi --delete src/ dst/; rsync -aXnci src/ dst/`
  },
  {
    name: 'cp -a copies a tree with all there is to it',
    needs: ['setfattr'],
    script: `${TREE} cp -a src dst; cp -au src/. dst/; diff -r --no-dereference src dst && echo same`
  },
  {
    name: 'tar writes a tree and makes it again',
    needs: ['setfattr'],
    isForLinuxOnly: true,
    script: `${TREE} tar --xattrs --sort=name -cSf t.tar src; mkdir plain piped
      tar --xattrs -C plain -xpf t.tar; tar --xattrs -C src -cf - . | tar --xattrs -C piped -xpf -
      tar --xattrs -df t.tar && echo same; rm t.tar`
  },
  {
    name: 'zip writes a tree and unzip makes it again',
    needs: ['zip', 'unzip', 'setfattr'],
    script: `${TREE} export TZ=UTC; (cd src; zip -qry ../t.zip .); mkdir dst; (cd dst; unzip -q ../t.zip); unzip -tq t.zip
      diff -r --no-dereference src dst && echo same; rm t.zip`
  },
  {
    name: 'git clones, commits, merges, packs and finds nothing wrong',
    needs: ['git'],
    script: `${GIT}
      git init -q origin; cd origin; for i in $(seq 1 30); do mkdir -p d$((i % 5)); seq 1 $((i * 50)) > d$((i % 5))/f$i; done
      git add .; git commit -qm first; cd ..; git clone -q origin work; git clone -q --no-hardlinks --bare origin bare
      cd work; git checkout -qb side; for i in 1 2 3 4 5 6; do echo $i >> d1/f1; git commit -qam "side $i"; done
      git checkout -q main; for i in 1 2 3 4 5 6; do git mv d2/f$((i * 5 - 3)) d3/moved$i; git commit -qm "main $i"; done
      git merge -q -m merged side; git worktree add -q ../tree side; git gc -q --prune=now; git repack -qadf; git fsck --full --strict --no-progress 2>&1
      git stash list; echo x >> d0/f5; git stash -q; git status --short; git stash pop -q; git status --short; git checkout -q d0/f5
      git push -q ../bare main side; git -C ../bare fsck --full --no-progress; git -C ../bare log --format=%H main | head -3
      git -C ../origin fetch -q ../work main; git clean -xfd; cd ..; rm -rf .gitconfig origin bare tree work/.git`
  },
  {
    name: 'make -j4 builds a program of many sources',
    needs: ['make', 'cc', 'ar'],
    script: `mkdir src; for i in $(seq 1 40); do
        printf '#include "all.h"\\nint f%s(int x) { return x + %s * SCALE; }\\n' $i $i > src/f$i.c; echo "int f$i(int);" >> src/protos.h; done
      printf '#pragma once\\n#define SCALE 1\\n#include "protos.h"\\n' > src/all.h
      { echo '#include <stdio.h>'; echo '#include "all.h"'; echo 'int main(void) { int x = 0;'; for i in $(seq 1 40); do echo "x = f$i(x);"; done; echo 'printf("%d\\n", x); }'; } > src/main.c
      printf 'OBJECTS := $(patsubst src/%%.c,out/%%.o,$(filter-out src/main.c,$(wildcard src/*.c)))\\nprog: out/main.o out/lib.a\\n\\tcc -o $@ $^\\nout/lib.a: $(OBJECTS)\\n\\tar rcsD $@ $(sort $^)\\nout/%%.o: src/%%.c src/all.h src/protos.h | out\\n\\tcc -O1 -c -o $@ $<\\nout:\\n\\tmkdir -p $@\\n' > Makefile
      make -sj4; ./prog; make -q && echo fresh; sed -i 's/SCALE 1/SCALE 3/' src/all.h; touch -d '+2 seconds' src/all.h
      make -sj4; ./prog; rm -r out; cp prog old; make -sj4; cmp prog old && echo same`
  },
  {
    name: 'npm installs packages from folders and archives',
    needs: ['npm'],
    script: `export npm_config_cache="$PWD/cache" npm_config_update_notifier=false HOME="$PWD"
      for p in one two; do mkdir -p $p/lib; echo "{\\"name\\":\\"$p\\",\\"version\\":\\"1.0.0\\",\\"main\\":\\"lib/main.js\\",\\"bin\\":\\"lib/main.js\\"}" > $p/package.json
        for i in $(seq 1 40); do echo "exports.x = $i" > $p/lib/m$i.js; done; printf '#!/usr/bin/env node\\nmodule.exports = require("./m40.js").x\\nconsole.log("%s")\\n' $p > $p/lib/main.js; done
      npm pack --silent ./one; mkdir app; cd app
      echo '{"name":"app","version":"1.0.0","dependencies":{"one":"file:../one-1.0.0.tgz","two":"file:../two"}}' > package.json
      npm install --offline --no-audit --no-fund --silent; node -e 'console.log(require("one") + require("two"))'
      ls -l node_modules/.bin | wc -l; node_modules/.bin/one; rm -rf node_modules; npm ci --offline --no-audit --no-fund --silent
      npm ls --parseable | sed 's,.*/app,app,'; cd ..; rm -rf cache .npm one-1.0.0.tgz`
  },
  ...['wal', 'delete', 'truncate', 'persist'].map((mode) => ({
    name: `two sqlites write one database with journal mode ${mode}`,
    needs: ['sqlite3'],
    script: `sqlite3 d.db "pragma journal_mode=${mode}; create table t(a integer primary key, who text, b text);" > mode; cat mode
      write() { for i in $(seq 1 15); do sqlite3 -cmd '.timeout 60000' -cmd 'pragma journal_mode=${mode}' d.db "insert into t(who, b) values('$1', hex(zeroblob($i * 40))); update t set b = b || 'x' where a % 7 = $i % 7; begin immediate; insert into t(who, b) values('$1', 'kept'); insert into t(who) values('$1'); commit; begin; delete from t; rollback;" > /dev/null || echo failed; done; }
      write one & write two & wait
      sqlite3 d.db "pragma integrity_check; select who, count(*), count(b) from t group by who; vacuum; pragma integrity_check"; sqlite3 d.db .dump | grep -c kept; rm d.db*`
  })),
  {
    name: 'vim saves by renaming and by writing over, with backup, swap and undo files',
    needs: ['vim'],
    script: `export HOME="$PWD"; seq 1 500 > f; chmod 640 f; ln -s f link
      for copy in yes no auto; do
        vim -N -u NONE -es -c "set backup backupskip= backupdir=. backupcopy=$copy swapfile directory=. undofile undodir=." -c '%s/$/!/' -c wq link < /dev/null
        md5sum < f; stat -c '%a %F' f link; md5sum < link~ 2>/dev/null || md5sum < f~; done
      vim -N -u NONE -es -c 'set undofile undodir=.' -c 'undo' -c wq f < /dev/null; md5sum < f; ls -A | grep -v '\\.un~\\|~$'; rm -f .*.un~ *~ .viminfo`
  },
  {
    name: 'editors that save by rename keep mode and links',
    needs: ['perl', 'patch'],
    script: `seq 1 100 > f; cp f g; chmod 751 f; ln -s f link; sed -i s/5/five/ f; sed -i --follow-symlinks s/6/six/ link; perl -pi.bak -e s/7/seven/ f
      sort -o f f; diff -u g f > p || true; patch -s -b g < p; cmp f g && echo same; touch -d 2001-01-01 f g g.orig f.bak p
      mkdir v1 v2; ln -s v1 now; ln -sfn v2 now; readlink now; install -D -m 711 f deep/er/f; rm p`
  },
  {
    name: 'dd writes and reads past the cache and by turns',
    needs: [],
    script: `seq 1 200000 > in; truncate -s 1310720 in; dd if=in of=f bs=4096 oflag=direct status=none; dd if=f bs=65536 iflag=direct status=none | md5sum
      dd if=in of=f bs=4096 seek=7 skip=3 count=9 oflag=direct conv=notrunc status=none; dd if=in of=f bs=777 seek=55 count=400 conv=notrunc,fsync status=none
      dd if=in of=f bs=100000 count=3 oflag=append,dsync conv=notrunc iflag=fullblock status=none; md5sum < f; dd if=f of=f bs=4096 skip=100 seek=20 count=50 conv=notrunc status=none; md5sum < f`
  },
  {
    name: 'fallocate takes space, makes holes and zeros',
    needs: ['fallocate'],
    isForLinuxOnly: true,
    script: `seq 1 100000 > f; fallocate -l 700000 f; stat -c %s f; fallocate -n -l 900000 f; stat -c %s f; md5sum < f
      fallocate -p -o 5000 -l 123456 f; md5sum < f; fallocate -z -o 690000 -l 20000 f; stat -c %s f; md5sum < f; fallocate -z -n -o 700000 -l 50000 f; stat -c %s f; truncate -s 99 f; fallocate -l 5M g; md5sum < g f`
  },
  {
    name: 'flock keeps programs apart, and shares',
    needs: ['flock'],
    script: `exec 3> l; flock 3; flock -n l echo no || echo busy; flock -n -s l echo no || echo busy; flock -u 3; flock -n l echo free
      exec 4> l; flock -s 3; flock -n -s 4 && echo shared; flock -n l echo no || echo busy; exec 3>&- 4>&-; flock -n l echo free
      echo 0 > n; for i in 1 2 3 4; do (for j in 1 2 3 4 5; do flock l sh -c 'read x < n; echo $((x + 1)) > n'; done) & done; wait; cat n`
  },
  {
    name: `a directory of ${FILES} files is moved, and ${2 * FILES} files are removed`,
    needs: [],
    script: `mkdir -p a/sub b; (cd a/sub; seq -f 'file-%g' 1 ${FILES} | xargs touch); for i in 1 2 3 4 5 6 7 8; do mkdir b/$i; (cd b/$i; seq -f 'f%g' 1 ${FILES / 8} | xargs touch); done
      ls a/sub | wc -l; mv a/sub b/moved; ls a | wc -l; ls b/moved | md5sum; touch b/moved/file-7; find b -type f | wc -l; mv b c; find c -type f | wc -l
      rm c/moved/file-1; ls -f c/moved | wc -l; rm -rf c; ls -A`
  },
  {
    name: 'programs share a file by mapping it',
    needs: ['python3'],
    script: `cat > count.py <<'END'
import fcntl, mmap, os, struct, sys
with open('shared', 'r+b') as file:
    view = mmap.mmap(file.fileno(), 0)
    for turn in range(200):
        fcntl.lockf(file, fcntl.LOCK_EX)
        place = 8 * (turn % 1500)
        struct.pack_into('q', view, place, struct.unpack_from('q', view, place)[0] + 1)
        if turn % 50 == 0: view.flush()
        fcntl.lockf(file, fcntl.LOCK_UN)
    view.close()
END
      truncate -s 12288 shared; for i in 1 2 3; do python3 count.py & done; wait; python3 -c "
import struct
print(sum(struct.unpack('1536q', open('shared', 'rb').read())))"
      python3 -c "
import mmap, os
file = os.open('grown', os.O_RDWR | os.O_CREAT); os.ftruncate(file, 10000); view = mmap.mmap(file, 10000)
view[0:3] = b'abc'; view[9997:10000] = b'xyz'; os.pwrite(file, b'MID', 5000); print(view[5000:5003]); os.ftruncate(file, 20000); view.resize(20000)
view[19999:20000] = b'!'; view.close(); os.close(file)"; md5sum < grown`
  },
  {
    name: 'who follows a log sees every line',
    needs: [],
    script: `: > log; (for i in $(seq 1 60); do echo "line $i" >> log; done; sleep 0.2) & writer=$!
      tail -n +1 -f --pid=$writer -s 0.1 log | md5sum; wait; mv log log.1; echo new > log; gzip -n log.1; gunzip -t log.1.gz; zcat log.1.gz | wc -l; rm log.1.gz`
  },
  {
    name: 'a file system in a file is made, filled and found in order',
    needs: ['mke2fs', 'e2fsck', 'debugfs'],
    script: `mkdir in; for i in $(seq 1 60); do seq $i $((i * 90)) > in/f$i; done; truncate -s 12M image; mke2fs -q -F -t ext4 -d in image; e2fsck -fn image > /dev/null 2>&1 && echo clean
      debugfs -R 'cat f33' image 2>/dev/null | cmp - in/f33 && echo same; seq 1 3000 > more; debugfs -w -R 'write more more' image > /dev/null 2>&1; e2fsck -fn image > /dev/null 2>&1 && echo clean
      cp --sparse=always image copy; cmp image copy && echo same; rm image copy`
  }
];
