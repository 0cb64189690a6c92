/*
 * Makes system calls on files as a script says, one a line, and prints what each of them answered: the same script on two
 * file systems must print the same. Fields of a line are parted by tabs.
 *
 *   file-calls DIRECTORY [model] [close] [user] < SCRIPT
 *
 * The directory is made. With `model` what a drive refuses is refused; with `close` nothing stays open when a directory
 * is removed or replaced. With `user` the calls are those of a user without rights, to whom the directory is given.
 *
 * Files are held open in numbered slots, not blocking, as a pipe would for ever. Bytes that are written follow from a
 * number and their place; bytes that are read are printed as a hash. Of times only those are printed that a script can
 * have set; others are `now`.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "file-calls-answers.h"

#define SLOTS 8
#define FIELDS 10
#define USER 4321

static int files[SLOTS];
static DIR *directories[SLOTS];
/* What the file system under test is known to refuse, so the other one must not do. */
static int is_model;
/* Nothing is open when a directory goes: the file system under test may lose what was in it. */
static int closes_first;

static long number(const char *text) { return strtol(text, NULL, 0); }
static int file_of(const char *slot) { return files[number(slot) % SLOTS]; }

static void fill(unsigned char *bytes, long offset, long length, long pattern) {
  for (long i = 0; i < length; i++) bytes[i] = (unsigned char)((offset + i) % 251 + pattern);
}

/* As rm -r: removes names while the directory is being read, those that it can, in whatever order. */
static int purge(const char *path) {
  DIR *directory = opendir(path);
  if (!directory) return -1;
  for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) {
    if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
    char *below;
    if (asprintf(&below, "%s/%s", path, entry->d_name) < 0) abort();
    if (entry->d_type == DT_DIR) purge(below);
    else unlink(below);
    free(below);
  }
  closedir(directory);
  return rmdir(path);
}

static void call_open(char **f) {
  int slot = (int)number(f[1]) % SLOTS;
  if (files[slot] >= 0) close(files[slot]);
  files[slot] = open(f[2], (int)number(f[3]) | O_NONBLOCK, (mode_t)number(f[4]));
  say(files[slot] < 0 ? -1 : 0);
}

static void call_openat(char **f) {
  int slot = (int)number(f[1]) % SLOTS;
  DIR *directory = directories[number(f[2]) % SLOTS];
  if (files[slot] >= 0) close(files[slot]);
  files[slot] = openat(directory ? dirfd(directory) : -1, f[3], (int)number(f[4]) | O_NONBLOCK, (mode_t)number(f[5]));
  say(files[slot] < 0 ? -1 : 0);
}

static void call_close(char **f) {
  int slot = (int)number(f[1]) % SLOTS;
  say(close(files[slot]));
  files[slot] = -1;
}

/* A close(2) that leaves the file open. */
static void call_dupclose(char **f) {
  int copy = dup(file_of(f[1]));
  say(copy < 0 ? -1 : close(copy));
}

static void call_pread(char **f) { say_bytes(buffer, pread(file_of(f[1]), buffer, (size_t)number(f[3]), number(f[2]))); }
static void call_read(char **f) { say_bytes(buffer, read(file_of(f[1]), buffer, (size_t)number(f[2]))); }

static void call_pwrite(char **f) {
  fill(buffer, number(f[2]), number(f[3]), number(f[4]));
  say(pwrite(file_of(f[1]), buffer, (size_t)number(f[3]), number(f[2])));
}

static void call_write(char **f) {
  fill(buffer, 0, number(f[2]), number(f[3]));
  say(write(file_of(f[1]), buffer, (size_t)number(f[2])));
}

/* Places in a directory are each file system's own. */
static void call_lseek(char **f) {
  struct stat found;
  int is_file = fstat(file_of(f[1]), &found) < 0 || S_ISREG(found.st_mode);
  say(is_file ? lseek(file_of(f[1]), number(f[2]), (int)number(f[3])) : 0);
}

static void call_truncate(char **f) { say(truncate(f[1], number(f[2]))); }
static void call_ftruncate(char **f) { say(ftruncate(file_of(f[1]), number(f[2]))); }
static void call_fallocate(char **f) { say(fallocate(file_of(f[1]), (int)number(f[2]), number(f[3]), number(f[4]))); }
static void call_fsync(char **f) { say(fsync(file_of(f[1]))); }
static void call_fdatasync(char **f) { say(fdatasync(file_of(f[1]))); }

static void call_fsyncdir(char **f) {
  int directory = open(f[1], O_RDONLY | O_DIRECTORY);
  int result = directory < 0 ? -1 : fsync(directory);
  say(result);
  if (directory >= 0) close(directory);
}

static void call_copy(char **f) {
  loff_t from = number(f[2]), to = number(f[4]);
  say(copy_file_range(file_of(f[1]), &from, file_of(f[3]), &to, (size_t)number(f[5]), 0));
}

/* Reads a part of a file through a mapping, changes it there, and may sync it. */
static void call_mmap(char **f) {
  long offset = number(f[2]) & ~4095L, length = number(f[3]), pattern = number(f[4]);
  struct stat found;
  if (fstat(file_of(f[1]), &found) < 0) return say(-1);
  if (!S_ISREG(found.st_mode)) return say(0);
  if (length > found.st_size - offset) length = found.st_size - offset;
  if (length <= 0) return say(0);
  int protection = pattern < 0 ? PROT_READ : PROT_READ | PROT_WRITE;
  unsigned char *bytes = mmap(NULL, (size_t)length, protection, MAP_SHARED, file_of(f[1]), offset);
  if (bytes == MAP_FAILED) return say(-1);
  uint64_t before = hash_of(bytes, length);
  int result = 0;
  if (pattern >= 0) fill(bytes + length / 3, offset, length / 2, pattern);
  if (number(f[5])) result = msync(bytes, (size_t)length, MS_SYNC);
  munmap(bytes, (size_t)length);
  printf("%d %ld %016" PRIx64 "\n", result, length, before);
}

static void call_stat(char **f) {
  struct stat found;
  say_stat(stat(f[1], &found), &found);
}

static void call_lstat(char **f) {
  struct stat found;
  say_stat(lstat(f[1], &found), &found);
}

static void call_fstat(char **f) {
  struct stat found;
  say_stat(fstat(file_of(f[1]), &found), &found);
}

/* Nanoseconds that name what else utimensat(2) can do. */
static struct timespec time_of(const char *seconds, const char *nanoseconds) {
  struct timespec time = {number(seconds), number(nanoseconds)};
  if (time.tv_nsec == -1) time.tv_nsec = UTIME_OMIT;
  if (time.tv_nsec == -2) time.tv_nsec = UTIME_NOW;
  return time;
}

/* Only what was set: reading a file or changing a directory may set the others to now. */
static void say_times(int result, const char *path, int file, char **f) {
  struct stat found;
  if (result == 0) result = path ? lstat(path, &found) : fstat(file, &found);
  if (result < 0) return say(-1);
  if (number(f[3]) != -1) print_time("atime", found.st_atim);
  if (number(f[5]) != -1) print_time("mtime", found.st_mtim);
  printf("\n");
}

static void call_utimens(char **f) {
  struct timespec times[2] = {time_of(f[2], f[3]), time_of(f[4], f[5])};
  say_times(utimensat(AT_FDCWD, f[1], times, AT_SYMLINK_NOFOLLOW), f[1], -1, f);
}

static void call_futimens(char **f) {
  struct timespec times[2] = {time_of(f[2], f[3]), time_of(f[4], f[5])};
  say_times(futimens(file_of(f[1]), times), NULL, file_of(f[1]), f);
}

static void call_chmod(char **f) { say(chmod(f[1], (mode_t)number(f[2]))); }
static void call_fchmod(char **f) { say(fchmod(file_of(f[1]), (mode_t)number(f[2]))); }
static void call_lchown(char **f) { say(lchown(f[1], (uid_t)number(f[2]), (gid_t)number(f[3]))); }
static void call_fchown(char **f) { say(fchown(file_of(f[1]), (uid_t)number(f[2]), (gid_t)number(f[3]))); }
static void call_access(char **f) { say(access(f[1], (int)number(f[2]))); }
static void call_unlink(char **f) { say(unlink(f[1])); }
static void call_mkdir(char **f) { say(mkdir(f[1], (mode_t)number(f[2]))); }
static void call_mknod(char **f) { say(mknod(f[1], (mode_t)number(f[2]), 0)); }
static void call_symlink(char **f) { say(symlink(f[1], f[2])); }

static int is_directory(const char *path) {
  struct stat found;
  return lstat(path, &found) == 0 && S_ISDIR(found.st_mode);
}

static void before_removal(const char *path) {
  if (!closes_first || !is_directory(path)) return;
  for (int slot = 0; slot < SLOTS; slot++) {
    if (files[slot] >= 0) close(files[slot]);
    if (directories[slot]) closedir(directories[slot]);
    files[slot] = -1;
    directories[slot] = NULL;
  }
}

static void call_rmdir(char **f) {
  before_removal(f[1]);
  say(rmdir(f[1]));
}

static void call_purge(char **f) {
  before_removal(f[1]);
  say(purge(f[1]));
}

static void call_rename(char **f) {
  before_removal(f[2]);
  say(rename(f[1], f[2]));
}

/* A drive exchanges files only. */
static void call_renameat2(char **f) {
  struct stat found;
  int flags = (int)number(f[3]);
  int is_refused = is_model && (flags & 2) && (is_directory(f[1]) || is_directory(f[2])) && strcmp(f[1], f[2]);
  if (is_refused && lstat(f[1], &found) == 0 && lstat(f[2], &found) == 0) {
    errno = EINVAL;
    return say(-1);
  }
  say(syscall(SYS_renameat2, AT_FDCWD, f[1], AT_FDCWD, f[2], flags));
}

/* A drive has no hard links, and the directory is what it was. */
static void call_link(char **f) {
  char *directory = strdup(f[2]), *end = strrchr(directory, '/');
  if (end) *end = 0;
  struct stat before = {0};
  int is_known = stat(end ? directory : ".", &before) == 0;
  int result = link(f[1], f[2]);
  if (result == 0 && is_model) {
    struct timespec times[2] = {before.st_atim, before.st_mtim};
    unlink(f[2]);
    if (is_known) utimensat(AT_FDCWD, end ? directory : ".", times, 0);
    errno = EPERM;
    result = -1;
  }
  free(directory);
  say(result);
}

static void call_readlink(char **f) { say_bytes(buffer, readlink(f[1], (char *)buffer, 4096)); }

static void call_setxattr(char **f) {
  fill(buffer, 0, number(f[3]), number(f[4]));
  say(lsetxattr(f[1], f[2], buffer, (size_t)number(f[3]), (int)number(f[5])));
}

static void call_fsetxattr(char **f) {
  fill(buffer, 0, number(f[3]), number(f[4]));
  say(fsetxattr(file_of(f[1]), f[2], buffer, (size_t)number(f[3]), (int)number(f[5])));
}

static void call_getxattr(char **f) { say_bytes(buffer, lgetxattr(f[1], f[2], buffer, (size_t)number(f[3]))); }
static void call_fgetxattr(char **f) { say_bytes(buffer, fgetxattr(file_of(f[1]), f[2], buffer, 4096)); }
static void call_removexattr(char **f) { say(lremovexattr(f[1], f[2])); }

static void call_readdir(char **f) {
  DIR *directory = opendir(f[1]);
  if (!directory) return say(-1);
  say_names(directory);
  closedir(directory);
}

static void call_opendir(char **f) {
  int slot = (int)number(f[1]) % SLOTS;
  if (directories[slot]) closedir(directories[slot]);
  directories[slot] = opendir(f[2]);
  say(directories[slot] ? 0 : -1);
}

static void call_rewinddir(char **f) {
  DIR *directory = directories[number(f[1]) % SLOTS];
  errno = EBADF;
  if (!directory) return say(-1);
  rewinddir(directory);
  say_names(directory);
}

static void call_tree(char **f) {
  print_tree(f[1], f[2] != NULL);
  printf("\n");
}

typedef struct {
  const char *name;
  void (*call)(char **fields);
} Call;

static const Call calls[] = {
    {"open", call_open},           {"openat", call_openat},       {"close", call_close},
    {"dupclose", call_dupclose},   {"pread", call_pread},         {"read", call_read},
    {"pwrite", call_pwrite},       {"write", call_write},         {"lseek", call_lseek},
    {"truncate", call_truncate},   {"ftruncate", call_ftruncate}, {"fallocate", call_fallocate},
    {"fsync", call_fsync},         {"fdatasync", call_fdatasync}, {"fsyncdir", call_fsyncdir},
    {"copy", call_copy},           {"mmap", call_mmap},           {"stat", call_stat},
    {"lstat", call_lstat},         {"fstat", call_fstat},         {"utimens", call_utimens},
    {"futimens", call_futimens},   {"chmod", call_chmod},         {"fchmod", call_fchmod},
    {"lchown", call_lchown},       {"fchown", call_fchown},       {"access", call_access},
    {"rename", call_rename},       {"unlink", call_unlink},       {"rmdir", call_rmdir},
    {"mkdir", call_mkdir},         {"mknod", call_mknod},         {"symlink", call_symlink},
    {"purge", call_purge},         {"renameat2", call_renameat2}, {"link", call_link},
    {"readlink", call_readlink},   {"setxattr", call_setxattr},   {"fsetxattr", call_fsetxattr},
    {"getxattr", call_getxattr},   {"fgetxattr", call_fgetxattr}, {"removexattr", call_removexattr},
    {"readdir", call_readdir},     {"opendir", call_opendir},     {"rewinddir", call_rewinddir},
    {"tree", call_tree},
};

/*
 * A drive knows nothing more of a directory that was removed while it is open; elsewhere it is there still, empty. What a
 * call with it answers is compared no further.
 */
static int is_gone(int file) {
  struct stat found;
  if (file < 0) return 0;
  if (fstat(file, &found) < 0) return errno == ENOENT || errno == ESTALE;
  return S_ISDIR(found.st_mode) && found.st_nlink == 0;
}

static int uses_gone(void (*call)(char **), char **f) {
  DIR *directory = NULL;
  if (call == call_rewinddir) directory = directories[number(f[1]) % SLOTS];
  if (call == call_openat) directory = directories[number(f[2]) % SLOTS];
  if (directory) return is_gone(dirfd(directory));
  int is_of_file = call == call_fstat || call == call_fchmod || call == call_fchown || call == call_futimens ||
                   call == call_fsetxattr || call == call_fgetxattr || call == call_fsync || call == call_fdatasync || call == call_mmap || call == call_lseek;
  return is_of_file && is_gone(file_of(f[1]));
}

static void run_call(const Call *call, char **fields) {
  if (uses_gone(call->call, fields)) printf("the directory is gone\n");
  else call->call(fields);
}

static void run_line(char *line) {
  char *fields[FIELDS] = {0};
  int count = 0;
  for (char *field = strsep(&line, "\t"); field && count < FIELDS; field = strsep(&line, "\t"))
    fields[count++] = field;
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
    if (!strcmp(calls[i].name, fields[0])) return run_call(&calls[i], fields);
  fprintf(stderr, "there is no call %s\n", fields[0]);
  exit(2);
}

/* Paths start in a directory of their own, so that also `..` leads to nothing that others use. */
static int enter(const char *directory) {
  if (mkdir(directory, 0755) < 0 && errno != EEXIST) return -1;
  if (chdir(directory) < 0) return -1;
  if (mkdir("root", 0755) < 0 && errno != EEXIST) return -1;
  return chdir("root");
}

static int become_user(void) {
  if (chown(".", USER, USER) < 0 || setgroups(0, NULL) < 0) return -1;
  return setgid(USER) < 0 ? -1 : setuid(USER);
}

int main(int argc, char **argv) {
  if (argc < 2 || enter(argv[1]) < 0) {
    fprintf(stderr, "%s: %s\n", argc < 2 ? "usage: file-calls DIRECTORY [model] [close] [user]" : argv[1], strerror(errno));
    return 2;
  }
  for (int i = 2; i < argc; i++) {
    is_model |= !strcmp(argv[i], "model");
    closes_first |= !strcmp(argv[i], "close");
    if (!strcmp(argv[i], "user") && become_user() < 0) return perror("user"), 2;
  }
  // What was answered before a call that never returns is known.
  setvbuf(stdout, NULL, _IOLBF, 0);
  umask(022);
  memset(files, -1, sizeof files);
  buffer = malloc(BUFFER_BYTES);
  char *line = NULL;
  size_t room = 0;
  for (ssize_t length; buffer && (length = getline(&line, &room, stdin)) > 0;) {
    if (line[length - 1] == '\n') line[length - 1] = 0;
    run_line(line);
  }
  return buffer ? 0 : 2;
}
