/* How answers are printed, so that two file systems which do the same print the same. */
#pragma once
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define NAMES 4096
#define BUFFER_BYTES (16 << 20)
/* 2005: later times are not a script's. */
#define SET_BEFORE 1104537600

static unsigned char *buffer;

static void say(long result) {
  if (result < 0) printf("%s\n", strerrorname_np(errno));
  else printf("%ld\n", result);
}

static uint64_t hash_of(const unsigned char *bytes, long length) {
  uint64_t hash = 1469598103934665603u;
  for (long i = 0; i < length; i++) hash = (hash ^ bytes[i]) * 1099511628211u;
  return hash;
}

static void say_bytes(const unsigned char *bytes, long length) {
  if (length < 0) say(length);
  else printf("%ld %016" PRIx64 "\n", length, hash_of(bytes, length));
}

static void print_time(const char *name, struct timespec time) {
  if (time.tv_sec < SET_BEFORE) printf(" %s=%ld.%09ld", name, (long)time.tv_sec, time.tv_nsec);
  else printf(" %s=now", name);
}

static void print_stat(const struct stat *found, int with_directory_times) {
  printf("%o %u:%u", found->st_mode, found->st_uid, found->st_gid);
  if (!S_ISDIR(found->st_mode)) printf(" links=%lu size=%ld", (unsigned long)found->st_nlink, (long)found->st_size);
  if (!S_ISDIR(found->st_mode) || with_directory_times) print_time("mtime", found->st_mtim);
}

static void say_stat(int result, const struct stat *found) {
  if (result < 0) return say(result);
  print_stat(found, 1);
  printf("\n");
}

static int compare_texts(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Reads the names of a directory to its end; the caller frees them. */
static int names_of(DIR *directory, char **names) {
  int count = 0;
  errno = 0;
  for (struct dirent *entry = readdir(directory); entry && count < NAMES; entry = readdir(directory)) {
    if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
    if (asprintf(&names[count], "%s/%d", entry->d_name, entry->d_type) < 0) abort();
    count++;
  }
  if (errno) return -1;
  qsort(names, (size_t)count, sizeof *names, compare_texts);
  return count;
}

static void say_names(DIR *directory) {
  static char *names[NAMES];
  int count = names_of(directory, names);
  if (count < 0) return say(-1);
  for (int i = 0; i < count; i++) {
    printf("%s ", names[i]);
    free(names[i]);
  }
  printf("%d\n", count);
}

static void print_xattrs(const char *path) {
  char list[4096];
  ssize_t length = llistxattr(path, list, sizeof list);
  char *names[64];
  int count = 0;
  for (char *name = list; length > 0 && name < list + length && count < 64; name += strlen(name) + 1)
    if (!strncmp(name, "user.", 5)) names[count++] = name;
  qsort(names, (size_t)count, sizeof *names, compare_texts);
  for (int i = 0; i < count; i++) {
    unsigned char value[1024];
    ssize_t bytes = lgetxattr(path, names[i], value, sizeof value);
    printf(" %s=%zd:%016" PRIx64, names[i], bytes, hash_of(value, bytes < 0 ? 0 : bytes));
  }
}

static void print_content(const char *path) {
  int file = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (file < 0) {
    printf(" %s", strerrorname_np(errno));
    return;
  }
  uint64_t hash = 0;
  long total = 0;
  for (ssize_t count; (count = read(file, buffer, BUFFER_BYTES)) != 0;) {
    if (count < 0) {
      printf(" %s", strerrorname_np(errno));
      break;
    }
    hash = hash * 31 + hash_of(buffer, count);
    total += count;
  }
  close(file);
  printf(" bytes=%ld:%016" PRIx64, total, hash);
}

/* One line for everything below a directory; times of directories only where they are asked for. */
static void print_tree(const char *path, int with_directory_times) {
  struct stat found;
  if (lstat(path, &found) < 0) {
    printf("%s %s;", path, strerrorname_np(errno));
    return;
  }
  printf("%s ", path);
  print_stat(&found, with_directory_times);
  print_xattrs(path);
  if (S_ISREG(found.st_mode)) print_content(path);
  if (S_ISLNK(found.st_mode)) {
    char target[4096];
    ssize_t length = readlink(path, target, sizeof target);
    printf(" -> %.*s", (int)(length < 0 ? 0 : length), target);
  }
  printf("; ");
  if (!S_ISDIR(found.st_mode)) return;
  DIR *directory = opendir(path);
  char **names = calloc(NAMES, sizeof *names);
  int count = directory && names ? names_of(directory, names) : -1;
  if (directory) closedir(directory);
  if (count < 0) printf("%s;", strerrorname_np(errno));
  for (int i = 0; i < count; i++) {
    char *below;
    *strrchr(names[i], '/') = 0;
    if (asprintf(&below, "%s/%s", path, names[i]) < 0) abort();
    print_tree(below, with_directory_times);
    free(below);
    free(names[i]);
  }
  free(names);
}
