/** What a row of docs/SEMANTICS.md promises, as a program in Python whose answers are those of a local disk. */
export interface PosixScript {
  readonly name: string;
  readonly script: string;
  /** What fuse-native has no way to do. */
  readonly linuxOnly?: boolean;
}

/** `told(call)` prints what a call answers, or the name of its errno. */
export const PRELUDE = `
import ctypes, errno, fcntl, mmap, os, socket, stat, struct, subprocess, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def told(call):
    try: print(call())
    except OSError as error: print(errno.errorcode[error.errno])
def put(name, content=b'x'):
    with open(name, 'wb') as f: f.write(content)
def mode(name): return oct(os.lstat(name).st_mode)
def as_user(script, uid=65534):
    done = subprocess.run(['setpriv', f'--reuid={uid}', f'--regid={uid}', '--clear-groups', 'sh', '-c', script], capture_output=True)
    print(done.returncode and done.stderr.decode().strip().split(': ')[-1], done.stdout.decode().strip())
`;

export const POSIX_SCRIPTS: readonly PosixScript[] = [
  {
    name: 'times: one alone, now, and to the nanosecond',
    linuxOnly: true,
    script: `
NOW, OMIT = (1 << 30) - 1, (1 << 30) - 2
def utimens(name, atime, mtime):
    assert libc.utimensat(-100, name.encode(), struct.pack('qqqq', *atime, *mtime), 0) == 0
put('f')
utimens('f', (5, 123456789), (-7, 999999999)); s = os.stat('f'); print(s.st_atime_ns, s.st_mtime_ns)
utimens('f', (0, OMIT), (9, 1)); s = os.stat('f'); print(s.st_atime_ns, s.st_mtime_ns)
utimens('f', (8, 2), (0, OMIT)); s = os.stat('f'); print(s.st_atime_ns, s.st_mtime_ns)
before = s.st_ctime_ns
utimens('f', (0, OMIT), (0, NOW)); s = os.stat('f'); print(s.st_atime_ns, abs(s.st_mtime - time.time()) < 5)
os.mkdir('d'); utimens('d', (3, 4), (5, 6)); s = os.stat('d'); print(s.st_atime_ns, s.st_mtime_ns)
os.symlink('f', 'l'); os.utime('l', ns=(11, 12), follow_symlinks=False); print(os.lstat('l').st_mtime_ns)
fd = os.open('f', os.O_RDWR); os.utime(fd, ns=(21, 22)); print(os.fstat(fd).st_mtime_ns, s.st_ctime_ns >= before)
os.write(fd, b'y'); print(os.fstat(fd).st_mtime > 1e9)`
  },
  {
    name: 'set-id bits go when somebody else writes, truncates or takes the file, and stay for root',
    linuxOnly: true,
    script: `
for name in 'abcd': put(name); os.chmod(name, 0o6777)
as_user('echo y > a'); print(mode('a'))
as_user('echo y >> b'); print(mode('b'))
as_user('truncate -s 0 c'); print(mode('c'))
with open('d', 'ab') as f: f.write(b'z')
print(mode('d'))
os.chown('d', 5, 5); print(mode('d'))
os.chmod('d', 0o2644); os.chown('d', 6, 6); print(mode('d'))
os.chmod('d', 0o2755); as_user('dd if=/dev/zero of=d bs=1 count=1 conv=notrunc'); print(mode('d'))`
  },
  {
    name: 'the kernel checks permissions for every user',
    linuxOnly: true,
    script: `
put('open'); put('closed'); os.chmod('closed', 0o600); os.mkdir('d'); put('d/f'); os.chmod('d', 0o700); os.mkdir('w'); os.chmod('w', 0o777)
for line in ('cat open', 'cat closed', 'echo y >> open', 'cat d/f', 'ls d', 'chmod 777 open', 'chown 65534 open', 'touch -d 2001-01-01 open', 'rm open', 'mkdir n', 'mv open o', 'ln -s a l', 'mkfifo p', 'touch w/mine', 'rm w/mine', 'truncate -s 0 open'):
    as_user(line)
print(sorted(os.listdir('.')), open('open').read())`
  },
  {
    name: 'the sticky bit keeps names of others',
    script: `
os.mkdir('t'); os.chmod('t', 0o1777); put('t/root'); os.chmod('t/root', 0o666); os.mkdir('t/d')
for line in ('rm t/root', 'mv t/root t/other', 'rmdir t/d', 'echo y > t/root'): as_user(line)
print(mode('t'), sorted(os.listdir('t')))`
  },
  {
    name: 'special files are what they are made as, and a fifo carries bytes',
    script: `
os.mkfifo('fifo', 0o640); os.mknod('char', 0o600 | stat.S_IFCHR, os.makedev(5, 300)); os.mknod('block', 0o660 | stat.S_IFBLK, os.makedev(259, 70000)); os.mknod('file', 0o644 | stat.S_IFREG)
s = socket.socket(socket.AF_UNIX); s.bind('socket')
for name in ('fifo', 'char', 'block', 'file', 'socket'): print(name, mode(name), os.lstat(name).st_rdev, os.lstat(name).st_size)
told(lambda: os.mkfifo('fifo'))
writer = subprocess.Popen(['sh', '-c', 'echo through > fifo']); print(open('fifo').read(), writer.wait())
s.listen(); c = socket.socket(socket.AF_UNIX); c.connect('socket'); s.accept()[0].send(b'hello'); print(c.recv(9))
os.rename('fifo', 'pipe'); os.chmod('pipe', 0o600); print(mode('pipe')); os.unlink('pipe'); os.unlink('socket')`
  },
  {
    name: 'symbolic links keep their target, of up to 4,095 bytes',
    script: `
for target in ('none', 'a' * 4095, '../x/./y//z', 'ünï'): os.symlink(target, 'l'); print(os.readlink('l') == target, os.lstat('l').st_size, mode('l')); os.unlink('l')
told(lambda: os.symlink('a' * 4096, 'l')); told(lambda: os.symlink('', 'l')); put('f'); told(lambda: os.readlink('f')); told(lambda: os.symlink('a', 'f'))
os.symlink('loop', 'loop'); told(lambda: open('loop')); os.mkdir('d'); os.symlink('d', 'to-d'); put('to-d/g'); print(os.listdir('d')); told(lambda: os.rmdir('to-d'))
told(lambda: open('none-there')); os.symlink('f', 's'); told(lambda: os.open('s', os.O_RDONLY | os.O_NOFOLLOW))`
  },
  {
    name: 'names have up to 255 bytes, of any but the slash and zero',
    script: `
for name in ('n' * 255, 'é' * 127, 'n' * 256, 'é' * 128):
    told(lambda: put(name)); told(lambda: os.mkdir(name + 'd')); told(lambda: os.stat(name).st_size)
for first in range(1, 128, 15):
    name = ''.join(chr(c) for c in range(first, min(first + 15, 128)) if c != 47); put(name, name.encode())
put(' '); put('-n'); put('a\\nb'); put('%'); put('%=x'); os.mkdir('...'); put('.../\\u202e')
print(sorted(os.listdir('.')), [open(n).read() == n for n in os.listdir('.') if len(n) > 12 and len(n) < 16])`
  },
  {
    name: 'names that are not UTF-8 are kept byte for byte',
    linuxOnly: true,
    script: `
names = [b'caf\\xe9', b'\\xff', b'\\x80%41', bytes(range(128, 256)), b'\\xc3', b'ok \\xc3\\xa9', b'\\xed\\xa0\\x80', b'n' * 254 + b'\\xe9']
for name in names: open(name, 'wb').write(name)
print(sorted(os.listdir(b'.')) == sorted(names), all(open(n, 'rb').read() == n for n in names))
os.mkdir(b'd\\xe9'); os.rename(b'caf\\xe9', b'd\\xe9/\\xfe'); print(os.listdir(b'd\\xe9')); os.symlink(b'd\\xe9/\\xfe', b'l\\xe8'); print(os.readlink(b'l\\xe8'), open(b'l\\xe8', 'rb').read(), os.lstat(b'l\\xe8').st_size)
told(lambda: os.stat(b'\\xfe')); told(lambda: os.stat('\\ufffd')); told(lambda: os.unlink(b'\\xff')); print(os.path.exists(b'\\xff'))`
  },
  {
    name: 'extended attributes: flags, sizes, listing and removal',
    script: `
put('f'); os.mkdir('d')
for name in ('f', 'd'):
    told(lambda: os.setxattr(name, 'user.a', b'1')); told(lambda: os.setxattr(name, 'user.a', b'2', os.XATTR_CREATE)); told(lambda: os.setxattr(name, 'user.b', b'2', os.XATTR_REPLACE))
    told(lambda: os.setxattr(name, 'user.a', b'22', os.XATTR_REPLACE)); told(lambda: os.setxattr(name, 'user.b', b'', os.XATTR_CREATE)); told(lambda: os.setxattr(name, 'user.' + 'n' * 250, bytes(range(256))))
    told(lambda: os.getxattr(name, 'user.a')); told(lambda: os.getxattr(name, 'user.b')); told(lambda: len(os.getxattr(name, 'user.' + 'n' * 250))); told(lambda: os.getxattr(name, 'user.none'))
    print(sorted(os.listxattr(name))); told(lambda: os.removexattr(name, 'user.a')); told(lambda: os.removexattr(name, 'user.a')); print(sorted(os.listxattr(name)))
    told(lambda: os.setxattr(name, 'user.' + 'n' * 251, b''));
    small = ctypes.create_string_buffer(1); print(libc.getxattr(name.encode(), b'user.' + b'n' * 250, small, 1), ctypes.get_errno() == errno.ERANGE, libc.listxattr(name.encode(), small, 1), ctypes.get_errno() == errno.ERANGE)
os.setxattr('f', 'trusted.t', b'kept'); os.rename('f', 'g'); print(os.getxattr('g', 'trusted.t'), os.getxattr('g', 'user.b'))
fd = os.open('g', os.O_RDWR); os.setxattr(fd, 'user.fd', b'3'); os.write(fd, b'more'); print(os.getxattr('g', 'user.fd')); os.close(fd); print(os.getxattr('g', 'user.fd'))
as_user('touch g'); os.chmod('g', 0o600); print(sorted(os.listxattr('g')))`
  },
  {
    name: 'exclusive creation and appending',
    script: `
told(lambda: os.close(os.open('f', os.O_CREAT | os.O_EXCL | os.O_WRONLY))); told(lambda: os.open('f', os.O_CREAT | os.O_EXCL | os.O_WRONLY)); os.symlink('none', 'l'); told(lambda: os.open('l', os.O_CREAT | os.O_EXCL | os.O_WRONLY)); os.mkdir('d'); told(lambda: os.open('d', os.O_CREAT | os.O_EXCL | os.O_WRONLY)); told(lambda: os.open('d', os.O_WRONLY))
a, b = os.open('f', os.O_WRONLY | os.O_APPEND), os.open('f', os.O_WRONLY | os.O_APPEND)
for i in range(5): os.write(a, b'a%d ' % i); os.write(b, b'b%d ' % i); os.lseek(a, 0, 0)
print(open('f').read()); os.ftruncate(a, 3); os.write(b, b'!'); print(open('f').read(), os.lseek(b, 0, os.SEEK_CUR))`
  },
  {
    name: 'renames that do not replace',
    linuxOnly: true,
    script: `
put('a', b'1'); put('b', b'2'); os.mkdir('d'); os.mkdir('e'); put('e/f')
for a, b in ((b'a', b'b'), (b'a', b'd'), (b'd', b'a'), (b'd', b'e')):
    done = libc.renameat2(-100, a, -100, b, 1); print(done, errno.errorcode[ctypes.get_errno()])
print(libc.renameat2(-100, b'a', -100, b'new', 1), libc.renameat2(-100, b'd', -100, b'e/d', 1), sorted(os.listdir('.')), sorted(os.listdir('e')))
print(libc.renameat2(-100, b'new', -100, b'b', 2), open('new').read(), open('b').read())
told(lambda: os.rename('e', 'b')); told(lambda: os.rename('b', 'e')); told(lambda: os.rename('e', 'e/d/x')); told(lambda: os.rename('none', 'x')); told(lambda: os.rename('e/d', 'e'))`
  },
  {
    name: 'a file that is open goes on without its name, and with another one',
    script: `
put('f', b'content'); f = os.open('f', os.O_RDWR); os.unlink('f'); s = os.fstat(f); print(s.st_nlink, s.st_size, os.path.exists('f'))
os.pwrite(f, b'CON', 0); print(os.pread(f, 99, 0)); os.ftruncate(f, 4); os.fchmod(f, 0o640); os.utime(f, (1, 2)); s = os.fstat(f); print(s.st_size, oct(s.st_mode), s.st_mtime)
put('f', b'new'); print(os.pread(f, 99, 0), open('f').read(), os.listdir('.')); os.fsync(f); os.close(f)
f = os.open('f', os.O_RDWR); os.rename('f', 'g'); os.write(f, b'NE'); print(os.fstat(f).st_size, open('g').read(), os.path.exists('f')); put('h', b'other'); os.rename('h', 'g'); print(os.pread(f, 9, 0), os.fstat(f).st_nlink, open('g').read()); os.close(f)
os.mkdir('d'); put('d/x', b'in'); x = os.open('d/x', os.O_RDWR); os.rename('d', 'e'); os.write(x, b'IN!'); os.close(x); print(open('e/x').read())`
  },
  {
    name: 'a directory that is open goes on without its name, empty',
    linuxOnly: true,
    script: `
os.mkdir('d', 0o750); put('d/x'); d = os.open('d', os.O_RDONLY); os.unlink('d/x'); os.rmdir('d'); s = os.fstat(d); print(s.st_nlink, oct(s.st_mode))
told(lambda: os.open('y', os.O_CREAT | os.O_WRONLY, dir_fd=d)); told(lambda: os.listdir(d)); told(lambda: os.stat('d')); os.mkdir('d'); print(os.fstat(d).st_nlink, os.stat('d').st_nlink > 0)`
  },
  {
    name: 'mappings that are shared are seen at once, and are stored by msync and at the end',
    script: `
put('f', bytes(10000)); f = os.open('f', os.O_RDWR); m = mmap.mmap(f, 10000); m[5000:5006] = b'mapped'; m.flush(); print(os.pread(f, 6, 5000), subprocess.run(['dd', 'if=f', 'bs=1', 'skip=5000', 'count=6', 'status=none'], capture_output=True).stdout)
os.pwrite(f, b'WRITTEN', 100); print(m[100:107]); m[9990:9999] = b'last page'; m.close(); os.close(f); print(open('f', 'rb').read()[9990:], os.stat('f').st_size)
r = os.open('f', os.O_RDONLY); p = mmap.mmap(r, 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE); p[0:1] = b'!'; p.close(); print(open('f', 'rb').read(1)); told(lambda: mmap.mmap(r, 0, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE))
child = "import mmap, os; f = os.open('f', os.O_RDWR); m = mmap.mmap(f, 0); m[0:5] = b'child'; m.flush()"
f = os.open('f', os.O_RDWR); m = mmap.mmap(f, 0); subprocess.run([sys.executable, '-c', child]); print(m[0:5], os.pread(f, 5, 0))`
  },
  {
    name: 'locks of the three kinds hold between processes',
    script: `
put('f', bytes(100)); f = os.open('f', os.O_RDWR)
def other(line): return subprocess.run([sys.executable, '-c', 'import fcntl, os, struct; f = os.open("f", os.O_RDWR)\\ntry: ' + line + '; print("free")\\nexcept OSError: print("held")'], capture_output=True, text=True).stdout.strip()
FLOCK, POSIX, OFD = 'fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)', 'fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, %d)', 'fcntl.fcntl(f, 37, struct.pack("hhqqi", fcntl.F_WRLCK, 0, 0, 10, 0))'
fcntl.flock(f, fcntl.LOCK_EX); print(other(FLOCK)); fcntl.flock(f, fcntl.LOCK_UN); print(other(FLOCK))
fcntl.flock(f, fcntl.LOCK_SH); print(other(FLOCK), other(FLOCK.replace('EX', 'SH'))); fcntl.flock(f, fcntl.LOCK_UN)
fcntl.lockf(f, fcntl.LOCK_EX, 10, 50); print(other(POSIX % 55), other(POSIX % 70)); fcntl.lockf(f, fcntl.LOCK_UN, 10, 50); print(other(POSIX % 55))
fcntl.fcntl(f, 37, struct.pack('hhqqi', fcntl.F_WRLCK, 0, 0, 10, 0)); print(other(OFD), other(POSIX % 5), other(POSIX % 30)); os.close(f); print(other(OFD))`
  },
  {
    name: 'holes take no space and are found, whoever has the file open',
    linuxOnly: true,
    script: `
MIB = 1 << 20
def taken(name): return round(os.stat(name).st_blocks * 512 / MIB, 1)
def data(fd):
    at, found = 0, []
    while True:
        try: at = os.lseek(fd, at, os.SEEK_DATA)
        except OSError: return found
        end = os.lseek(fd, at, os.SEEK_HOLE); found.append((at, end)); at = end
fd = os.open('f', os.O_RDWR | os.O_CREAT)
os.truncate(fd, 24 * MIB); print(taken('f'), data(fd))
os.pwrite(fd, b'x' * MIB, 12 * MIB); print(taken('f'), data(fd))
os.fsync(fd); print(taken('f'), data(fd))
os.pwrite(fd, b'y' * MIB, 12 * MIB); os.fsync(fd); print(taken('f'))
os.pwrite(fd, b'z' * MIB, 0); print(taken('f'), data(fd))
subprocess.run(['fallocate', '-p', '-o', str(12 * MIB), '-l', str(MIB // 2), 'f'], check=True); print(taken('f'), data(fd))
for line in ('cp f a', 'cp --sparse=always a b', 'tar cSf t f', 'mkdir x; tar xSf t -C x'):
    subprocess.run(['sh', '-c', line], check=True)
print([taken(name) for name in ('a', 'b', 't', 'x/f')])
os.truncate(fd, MIB); print(taken('f'), data(fd)); os.truncate(fd, 0); print(taken('f'), data(fd)); os.close(fd)
print(taken('f'), subprocess.run(['du', '-m', 'a'], capture_output=True, text=True).stdout)`
  },
  {
    name: 'a file that never has a name',
    linuxOnly: true,
    script: `
fd = os.open('.', os.O_TMPFILE | os.O_EXCL | os.O_RDWR, 0o640)
os.write(fd, b'nameless' * 1000); os.pwrite(fd, b'N', 0); os.fsync(fd)
s = os.fstat(fd); print(oct(s.st_mode), s.st_nlink, s.st_size, os.listdir('.'))
print(os.pread(fd, 10, 0)); os.ftruncate(fd, 3); os.fchmod(fd, 0o600); print(os.pread(fd, 10, 0), oct(os.fstat(fd).st_mode))
view = mmap.mmap(fd, 3); view[0:1] = b'M'; view.flush(); print(os.pread(fd, 10, 0))
told(lambda: os.link(f'/proc/self/fd/{fd}', 'named', follow_symlinks=True))
again = os.open(f'/proc/self/fd/{fd}', os.O_RDONLY); os.close(fd); print(os.read(again, 10), os.fstat(again).st_nlink); os.close(again)
others = [os.open('.', os.O_TMPFILE | os.O_EXCL | os.O_WRONLY) for _ in range(3)]
print(len({os.fstat(other).st_ino for other in others}), os.listdir('.'))`
  },
  {
    name: 'space is said in numbers that hold together',
    script: `
s = os.statvfs('.'); print(s.f_namemax, s.f_bsize > 0, s.f_blocks >= s.f_bfree >= s.f_bavail >= 0, s.f_files >= s.f_ffree > 0)
print(subprocess.run(['df', '.'], capture_output=True).returncode)`
  }
];
