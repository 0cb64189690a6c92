/*
 * A file system that keeps names and sizes in memory, throws bytes away and reads zeros: what FUSE itself costs. The limit
 * that the drive is measured against. Built by the benchmark with libfuse3 (Debian package libfuse3-dev).
 *
 *   null-fs DIRECTORY   serves in the foreground, one thread, until SIGTERM
 */
#define FUSE_USE_VERSION 34
#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TTL_SECONDS 3600.0
#define READ_BYTES (1 << 20)

struct node {
  fuse_ino_t parent;
  char *name;
  mode_t mode;
  off_t size;
  /* Of the same bucket of the table, and of the same directory. */
  size_t next_in_bucket, next_sibling, first_child;
};

static struct node *nodes;
static size_t node_count = 2, node_capacity;
static size_t *buckets;
static size_t bucket_count;
static char zeros[READ_BYTES];

static size_t hash(fuse_ino_t parent, const char *name) {
  size_t value = 1469598103934665603u ^ parent;
  for (; *name; name++) value = (value ^ (unsigned char)*name) * 1099511628211u;
  return value % bucket_count;
}

static fuse_ino_t find(fuse_ino_t parent, const char *name) {
  for (size_t at = buckets[hash(parent, name)]; at; at = nodes[at].next_in_bucket)
    if (nodes[at].parent == parent && !strcmp(nodes[at].name, name)) return at;
  return 0;
}

static fuse_ino_t add(fuse_ino_t parent, const char *name, mode_t mode) {
  if (node_count == node_capacity) {
    node_capacity *= 2;
    nodes = realloc(nodes, node_capacity * sizeof *nodes);
  }
  size_t at = node_count++;
  size_t bucket = hash(parent, name);
  nodes[at] = (struct node){parent, strdup(name), mode, 0, buckets[bucket], nodes[parent].first_child, 0};
  buckets[bucket] = at;
  nodes[parent].first_child = at;
  return at;
}

static struct stat attributes(fuse_ino_t ino) {
  struct stat result = {.st_ino = ino, .st_mode = nodes[ino].mode, .st_size = nodes[ino].size, .st_nlink = 1};
  result.st_uid = getuid();
  result.st_gid = getgid();
  return result;
}

static struct fuse_entry_param entry(fuse_ino_t ino) {
  return (struct fuse_entry_param){
      .ino = ino, .attr = attributes(ino), .attr_timeout = TTL_SECONDS, .entry_timeout = TTL_SECONDS};
}

static void reply_entry(fuse_req_t request, fuse_ino_t ino) {
  struct fuse_entry_param found = entry(ino);
  fuse_reply_entry(request, &found);
}

static void on_init(void *data, struct fuse_conn_info *connection) {
  (void)data;
  connection->max_write = READ_BYTES;
  connection->max_readahead = READ_BYTES;
}

static void on_lookup(fuse_req_t request, fuse_ino_t parent, const char *name) {
  fuse_ino_t ino = find(parent, name);
  if (ino) reply_entry(request, ino);
  else fuse_reply_err(request, ENOENT);
}

static void on_getattr(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *file) {
  (void)file;
  struct stat found = attributes(ino);
  fuse_reply_attr(request, &found, TTL_SECONDS);
}

static void on_setattr(fuse_req_t request, fuse_ino_t ino, struct stat *wanted, int set,
                       struct fuse_file_info *file) {
  if (set & FUSE_SET_ATTR_SIZE) nodes[ino].size = wanted->st_size;
  if (set & FUSE_SET_ATTR_MODE) nodes[ino].mode = wanted->st_mode;
  on_getattr(request, ino, file);
}

static void on_mkdir(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode) {
  if (find(parent, name)) fuse_reply_err(request, EEXIST);
  else reply_entry(request, add(parent, name, S_IFDIR | mode));
}

static void on_open(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *file) {
  (void)ino;
  file->keep_cache = 1;
  fuse_reply_open(request, file);
}

static void on_create(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *file) {
  fuse_ino_t ino = find(parent, name);
  if (!ino) ino = add(parent, name, S_IFREG | (mode & 07777));
  struct fuse_entry_param made = entry(ino);
  fuse_reply_create(request, &made, file);
}

static void on_read(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *file) {
  (void)file;
  off_t left = nodes[ino].size - offset;
  if (left < 0) left = 0;
  if ((off_t)size > left) size = left;
  fuse_reply_buf(request, zeros, size > READ_BYTES ? READ_BYTES : size);
}

static void on_write(fuse_req_t request, fuse_ino_t ino, const char *bytes, size_t size, off_t offset,
                     struct fuse_file_info *file) {
  (void)file;
  (void)bytes;
  if (offset + (off_t)size > nodes[ino].size) nodes[ino].size = offset + size;
  fuse_reply_write(request, size);
}

static void on_done(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *file) {
  (void)ino;
  (void)file;
  fuse_reply_err(request, 0);
}

static void on_fsync(fuse_req_t request, fuse_ino_t ino, int datasync, struct fuse_file_info *file) {
  (void)datasync;
  on_done(request, ino, file);
}

/* Offsets are the numbers of the nodes, newest first: the next one to give is the sibling of the last one given. */
static void on_readdirplus(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset,
                           struct fuse_file_info *file) {
  (void)file;
  char *page = malloc(size);
  size_t filled = 0;
  size_t at = offset == 0 ? nodes[ino].first_child : nodes[offset].next_sibling;
  for (; at; at = nodes[at].next_sibling) {
    struct fuse_entry_param found = entry(at);
    size_t length =
        fuse_add_direntry_plus(request, page + filled, size - filled, nodes[at].name, &found, (off_t)at);
    if (length > size - filled) break;
    filled += length;
  }
  fuse_reply_buf(request, page, filled);
  free(page);
}

static const struct fuse_lowlevel_ops operations = {
    .init = on_init,       .lookup = on_lookup, .getattr = on_getattr, .setattr = on_setattr,
    .mkdir = on_mkdir,     .open = on_open,     .create = on_create,   .read = on_read,
    .write = on_write,     .flush = on_done,    .release = on_done,    .fsync = on_fsync,
    .readdirplus = on_readdirplus};

int main(int count, char **words) {
  if (count != 2) return 2;
  node_capacity = 1 << 16;
  bucket_count = 1 << 20;
  nodes = calloc(node_capacity, sizeof *nodes);
  buckets = calloc(bucket_count, sizeof *buckets);
  nodes[FUSE_ROOT_ID].mode = S_IFDIR | 0755;
  char *options[] = {words[0], "-o", "fsname=null-fs", NULL};
  struct fuse_args arguments = FUSE_ARGS_INIT(3, options);
  struct fuse_session *session = fuse_session_new(&arguments, &operations, sizeof operations, NULL);
  if (!session || fuse_set_signal_handlers(session) || fuse_session_mount(session, words[1])) return 1;
  int result = fuse_session_loop(session);
  fuse_session_unmount(session);
  return result < 0;
}
