/* Calls for files of the disk cache, which the kernel may read in place of the drive's. */
#include "fuse-device.h"
#include <fcntl.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

/* Of <linux/fuse.h> since Linux 6.9; headers are often older than the kernel. */
typedef struct {
  int32_t fd;
  uint32_t flags;
  uint64_t padding;
} backing_map_t;
#define DEVICE_BACKING_OPEN _IOW(229, 1, backing_map_t)
#define DEVICE_BACKING_CLOSE _IOW(229, 2, uint32_t)

/* backingOpen(channel, descriptor) → what the kernel calls the file, or -errno. It has a share of the file from then on. */
napi_value backing_open(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2];
  int32_t fd;
  CHECK(napi_get_cb_info(env, info, &count, arguments, NULL, NULL));
  channel_t *channel = channel_of(env, arguments[0]);
  if (!channel) return NULL;
  CHECK(napi_get_value_int32(env, arguments[1], &fd));
  if (channel->is_closed) return integer(env, -ENODEV);
  backing_map_t map = {.fd = fd};
  int id = ioctl(channel->fd, DEVICE_BACKING_OPEN, &map);
  return integer(env, id < 0 ? -errno : id);
}

/* backingClose(channel, id): handles that read the file go on. */
napi_value backing_close(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2];
  uint32_t id;
  CHECK(napi_get_cb_info(env, info, &count, arguments, NULL, NULL));
  channel_t *channel = channel_of(env, arguments[0]);
  if (!channel) return NULL;
  CHECK(napi_get_value_uint32(env, arguments[1], &id));
  if (channel->is_closed) return integer(env, -ENODEV);
  return integer(env, ioctl(channel->fd, DEVICE_BACKING_CLOSE, &id) == 0 ? 0 : -errno);
}

/* lockFile(descriptor) → 0, or -EWOULDBLOCK while another open file holds the lock; it ends with the descriptor. */
napi_value lock_file(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  int32_t fd;
  CHECK(napi_get_cb_info(env, info, &count, &argument, NULL, NULL));
  CHECK(napi_get_value_int32(env, argument, &fd));
  return integer(env, flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : -errno);
}

/* readNow(descriptor, buffer, offset) → how many bytes were read without waiting for a disk; 0 where none can be. */
napi_value read_now(napi_env env, napi_callback_info info) {
  size_t count = 3;
  napi_value arguments[3];
  int32_t fd;
  int64_t offset;
  struct iovec vector;
  CHECK(napi_get_cb_info(env, info, &count, arguments, NULL, NULL));
  CHECK(napi_get_value_int32(env, arguments[0], &fd));
  CHECK(napi_get_buffer_info(env, arguments[1], &vector.iov_base, &vector.iov_len));
  CHECK(napi_get_value_int64(env, arguments[2], &offset));
  ssize_t length = preadv2(fd, &vector, 1, offset, RWF_NOWAIT);
  return integer(env, length < 0 ? 0 : length);
}
