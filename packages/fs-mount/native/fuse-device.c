/*
 * The Linux driver's way to /dev/fuse. All of the protocol but the length of a message is TypeScript's; here are the calls
 * that Node does not have: mount(2), passing a file descriptor, waiting for the device in Node's own event loop, and one
 * write of a head and the payload behind it. Everything but writing notifications runs on the thread of the loop.
 *
 * A channel is shared by the JavaScript value that stands for it and the polls of the loop; it is freed with the last of
 * them. Its buffers are JavaScript's and stay alive by references until then.
 *
 * The kernel may hold a notification until requests are answered that wait here, and nothing interrupts that: notifiers
 * are threads of their own. Each has its own table of descriptors, with a clone of the device, so that the end of the
 * process still closes the device itself: that ends the requests that were read, and with them the wait.
 */
#define _GNU_SOURCE
#define NAPI_VERSION 8
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/fuse.h>
#include <node_api.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include <uv.h>

#define SLOT_COUNT_MAX 64
/* So many requests are read before timers and sockets of the process have their turn. */
#define REQUESTS_PER_TURN 64
/* The loop has more to do than this device: a writer of large blocks would keep it here for 64 ms. */
#define TURN_NS 1000000
#define PIECE_COUNT_MAX 32
#define IN_HEADER_BYTES 40
#define OUT_HEADER_BYTES 16
#define PATH_BYTES_MAX 4097
#define OPTIONS_BYTES_MAX 1024
/* What is written with one notification call. */
#define NOTIFY_BYTES_MAX (64 * 1024)
/* What the kernel takes apart from each other: names, bytes, attributes. */
#define NOTIFIER_COUNT 3
/* Requests that nobody has read yet when the device is closed. */
#define DRAINED_COUNT_MAX 100000

/* Of <linux/fuse.h> since Linux 6.9; headers are often older than the kernel. */
typedef struct {
  int32_t fd;
  uint32_t flags;
  uint64_t padding;
} backing_map_t;
#define DEVICE_BACKING_OPEN _IOW(229, 1, backing_map_t)
#define DEVICE_BACKING_CLOSE _IOW(229, 2, uint32_t)

#define CHECK(call)                                                                                          \
  do {                                                                                                       \
    if ((call) != napi_ok) return failed_call(env);                                                                \
  } while (0)

typedef struct {
  uint8_t *bytes;
  size_t length;
  napi_ref reference;
  int is_used;
} slot_t;

/* Shared by its thread and the channel; the mutex guards everything below it. */
typedef struct {
  atomic_int share_count;
  /* A clone of the device and an eventfd that says that messages are written; numbers of the thread's own table. */
  int fd;
  int done_fd;
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  enum { STARTING, READY, FAILED } state;
  int error;
  int is_ending;
  int is_done;
  /* Of the messages that are being written; 0 when there are none. */
  size_t length;
  uint8_t bytes[NOTIFY_BYTES_MAX];
} notifier_t;

typedef struct {
  napi_env env;
  uv_poll_t poll;
  uv_poll_t done_poll;
  int fd;
  int done_fd;
  int share_count;
  /* Of the loop: one or two polls. */
  int handle_count;
  int is_closed;
  /* No slot was free: the loop does not look at the device until one is. */
  int is_paused;
  slot_t slots[SLOT_COUNT_MAX];
  uint32_t slot_count;
  uint8_t *head;
  size_t head_length;
  napi_ref head_reference;
  napi_ref on_request;
  napi_ref on_end;
  notifier_t *notifiers[NOTIFIER_COUNT];
  napi_ref on_notified[NOTIFIER_COUNT];
  napi_async_context context;
  napi_async_cleanup_hook_handle cleanup;
} channel_t;

static const napi_type_tag CHANNEL_TAG = {0x6f3a1d24c8be4f10ULL, 0x9d5c7be13a40f862ULL};

static napi_value failed_call(napi_env env) {
  const napi_extended_error_info *info = NULL;
  bool is_pending = false;
  napi_get_last_error_info(env, &info);
  napi_is_exception_pending(env, &is_pending);
  if (!is_pending)
    napi_throw_error(env, NULL, info && info->error_message ? info->error_message : "fuse-device: wrong call");
  return NULL;
}

static napi_value integer(napi_env env, int64_t value) {
  napi_value result;
  CHECK(napi_create_int64(env, value, &result));
  return result;
}

static void share_dropped(channel_t *channel) {
  if (--channel->share_count == 0) free(channel);
}

static int text_of(napi_env env, napi_value value, char *into, size_t size) {
  size_t length;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok || length >= size) return 0;
  return napi_get_value_string_utf8(env, value, into, size, &length) == napi_ok && strlen(into) == length;
}

/* The channel of a call's first argument, or NULL with an exception. */
static channel_t *channel_of(napi_env env, napi_value value) {
  bool is_channel = false;
  void *channel = NULL;
  if (napi_check_object_type_tag(env, value, &CHANNEL_TAG, &is_channel) != napi_ok || !is_channel ||
      napi_get_value_external(env, value, &channel) != napi_ok) {
    napi_throw_type_error(env, NULL, "fuse-device: the first argument is no channel");
    return NULL;
  }
  return channel;
}

/* mountDirectory(directory, source, options) → descriptor or -errno. */
static napi_value mount_directory(napi_env env, napi_callback_info info) {
  size_t count = 3;
  napi_value arguments[3];
  char directory[PATH_BYTES_MAX], source[PATH_BYTES_MAX], options[OPTIONS_BYTES_MAX], all[OPTIONS_BYTES_MAX + 32];
  bool is_read_only = false;
  CHECK(napi_get_cb_info(env, info, &count, arguments, NULL, NULL));
  if (count < 3 || !text_of(env, arguments[0], directory, sizeof directory) ||
      !text_of(env, arguments[1], source, sizeof source) || !text_of(env, arguments[2], options, sizeof options))
    return integer(env, -EINVAL);
  if (strncmp(options, "ro,", 3) == 0) is_read_only = true;
  int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return integer(env, -errno);
  snprintf(all, sizeof all, "fd=%d,%s", fd, is_read_only ? options + 3 : options);
  unsigned long flags = MS_NOSUID | MS_NODEV | (is_read_only ? MS_RDONLY : 0);
  if (mount(source, directory, "fuse.stampede", flags, all) != 0) {
    int error = errno;
    close(fd);
    return integer(env, -error);
  }
  return integer(env, fd);
}

/* socketPair() → [descriptor for us, descriptor for the child], or -errno. */
static napi_value socket_pair(napi_env env, napi_callback_info info) {
  (void)info;
  int fds[2];
  napi_value pair;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) return integer(env, -errno);
  CHECK(napi_create_array_with_length(env, 2, &pair));
  for (uint32_t index = 0; index < 2; index++) CHECK(napi_set_element(env, pair, index, integer(env, fds[index])));
  return pair;
}

/* receiveDevice(descriptor) → the descriptor of the device that was sent through the socket, or -errno. Never waits. */
static napi_value receive_device(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  int32_t socket;
  CHECK(napi_get_cb_info(env, info, &count, &argument, NULL, NULL));
  CHECK(napi_get_value_int32(env, argument, &socket));
  char byte;
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control;
  struct iovec vector = {&byte, 1};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  ssize_t length;
  do length = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  while (length < 0 && errno == EINTR);
  if (length < 0) return integer(env, -errno);
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  if (length == 0 || !header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
      header->cmsg_len != CMSG_LEN(sizeof(int)))
    return integer(env, -EPROTO);
  int fd;
  memcpy(&fd, CMSG_DATA(header), sizeof fd);
  if (fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) != 0) {
    int error = errno;
    close(fd);
    return integer(env, -error);
  }
  return integer(env, fd);
}

/* closeDescriptor(descriptor), for those of socketPair. */
static napi_value close_descriptor(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  int32_t fd;
  CHECK(napi_get_cb_info(env, info, &count, &argument, NULL, NULL));
  CHECK(napi_get_value_int32(env, argument, &fd));
  return integer(env, close(fd) == 0 ? 0 : -errno);
}

/* lockFile(descriptor) → 0, or -EWOULDBLOCK while another open file holds the lock; it ends with the descriptor. */
static napi_value lock_file(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  int32_t fd;
  CHECK(napi_get_cb_info(env, info, &count, &argument, NULL, NULL));
  CHECK(napi_get_value_int32(env, argument, &fd));
  return integer(env, flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : -errno);
}

/* readNow(descriptor, buffer, offset) → how many bytes were read without waiting for a disk; 0 where none can be. */
static napi_value read_now(napi_env env, napi_callback_info info) {
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

/* The environment may go on ending when the loop has nothing of the channel any more. */
static void handle_closed(channel_t *channel) {
  if (--channel->handle_count == 0 && channel->cleanup) {
    napi_remove_async_cleanup_hook(channel->cleanup);
    channel->cleanup = NULL;
  }
  share_dropped(channel);
}

static void poll_closed(uv_handle_t *handle) {
  handle_closed(handle->data);
}

static void done_poll_closed(uv_handle_t *handle) {
  channel_t *channel = handle->data;
  close(channel->done_fd);
  handle_closed(channel);
}

static void notifier_dropped(notifier_t *notifier) {
  if (atomic_fetch_sub(&notifier->share_count, 1) > 1) return;
  pthread_mutex_destroy(&notifier->mutex);
  pthread_cond_destroy(&notifier->changed);
  free(notifier);
}

/* Its thread ends when what it writes is written. */
static void notifier_end(notifier_t *notifier) {
  pthread_mutex_lock(&notifier->mutex);
  notifier->is_ending = 1;
  pthread_cond_signal(&notifier->changed);
  pthread_mutex_unlock(&notifier->mutex);
  notifier_dropped(notifier);
}

/*
 * Requests that were read end with the device. Those that were not would wait for another reader as long as a notifier
 * has its clone, and the notifier may wait for them: they are read, and end as well.
 */
static void device_close(channel_t *channel) {
  for (int count = 0; count < DRAINED_COUNT_MAX; count++) {
    ssize_t length = read(channel->fd, channel->slots[0].bytes, channel->slots[0].length);
    if (length < 0 && errno != EINTR && errno != ENOENT) break;
  }
  close(channel->fd);
}

/* Ends the reading at once. */
static void channel_close(channel_t *channel) {
  if (channel->is_closed) return;
  channel->is_closed = 1;
  napi_env env = channel->env;
  uv_poll_stop(&channel->poll);
  uv_close((uv_handle_t *)&channel->poll, poll_closed);
  if (channel->done_fd >= 0) {
    uv_poll_stop(&channel->done_poll);
    uv_close((uv_handle_t *)&channel->done_poll, done_poll_closed);
  }
  for (int index = 0; index < NOTIFIER_COUNT; index++) {
    if (channel->notifiers[index]) notifier_end(channel->notifiers[index]);
    channel->notifiers[index] = NULL;
    if (channel->on_notified[index]) napi_delete_reference(env, channel->on_notified[index]);
    channel->on_notified[index] = NULL;
  }
  device_close(channel);
  for (uint32_t index = 0; index < channel->slot_count; index++) {
    napi_delete_reference(env, channel->slots[index].reference);
    channel->slots[index].bytes = NULL;
  }
  channel->head = NULL;
  napi_delete_reference(env, channel->head_reference);
  napi_delete_reference(env, channel->on_request);
  napi_delete_reference(env, channel->on_end);
  napi_async_destroy(env, channel->context);
}

static void environment_ends(napi_async_cleanup_hook_handle handle, void *argument) {
  (void)handle;
  channel_close(argument);
}

static void channel_finalized(napi_env env, void *value, void *hint) {
  (void)env, (void)hint;
  share_dropped(value);
}

/* Calls into JavaScript from the loop; what it throws ends the process as any uncaught exception. */
static int call_back(channel_t *channel, napi_ref reference, size_t count, const napi_value *arguments, napi_value *result) {
  napi_env env = channel->env;
  napi_value callback, receiver;
  if (napi_get_reference_value(env, reference, &callback) != napi_ok || napi_get_global(env, &receiver) != napi_ok) return 0;
  napi_status status = napi_make_callback(env, channel->context, receiver, callback, count, arguments, result);
  if (status == napi_ok) return 1;
  napi_value error;
  if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
  return 0;
}

static void channel_ended(channel_t *channel, int error) {
  napi_env env = channel->env;
  napi_handle_scope scope;
  napi_value argument, result;
  uv_poll_stop(&channel->poll);
  channel->is_paused = 0;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  if (napi_create_int32(env, error, &argument) == napi_ok) call_back(channel, channel->on_end, 1, &argument, &result);
  napi_close_handle_scope(env, scope);
}

/* Hands one request over; JavaScript answers whether it keeps the slot until it releases it. */
static void request_arrived(channel_t *channel, uint32_t index, size_t length) {
  napi_env env = channel->env;
  napi_handle_scope scope;
  napi_value arguments[2], result;
  bool is_kept = false;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  channel->slots[index].is_used = 1;
  if (napi_create_uint32(env, index, &arguments[0]) == napi_ok &&
      napi_create_uint32(env, (uint32_t)length, &arguments[1]) == napi_ok &&
      call_back(channel, channel->on_request, 2, arguments, &result))
    napi_get_value_bool(env, result, &is_kept);
  if (!is_kept) channel->slots[index].is_used = 0;
  napi_close_handle_scope(env, scope);
}

static int find_free_slot(const channel_t *channel) {
  for (uint32_t index = 0; index < channel->slot_count; index++)
    if (!channel->slots[index].is_used) return (int)index;
  return -1;
}

static void device_is_readable(uv_poll_t *poll, int status, int events) {
  (void)events;
  channel_t *channel = poll->data;
  /* The loop reports a device whose mount is gone as an error; what it is, reading says. */
  (void)status;
  uint64_t end_ns = uv_hrtime() + TURN_NS;
  for (int count = 0; count < REQUESTS_PER_TURN && !channel->is_closed; count++) {
    if (count > 0 && uv_hrtime() >= end_ns) return;
    int index = find_free_slot(channel);
    if (index < 0) {
      channel->is_paused = 1;
      uv_poll_stop(poll);
      return;
    }
    slot_t *slot = &channel->slots[index];
    ssize_t length = read(channel->fd, slot->bytes, slot->length);
    if (length < 0) {
      if (errno == EAGAIN) return;
      /* A request that was taken back while it was being read. */
      if (errno == EINTR || errno == ENOENT) continue;
      channel_ended(channel, errno);
      return;
    }
    uint32_t said = 0;
    if (length >= IN_HEADER_BYTES) memcpy(&said, slot->bytes, sizeof said);
    if (said != (size_t)length) {
      channel_ended(channel, EPROTO);
      return;
    }
    request_arrived(channel, (uint32_t)index, (size_t)length);
  }
}

static int keep_buffer(napi_env env, napi_value value, uint8_t **bytes, size_t *length, napi_ref *reference) {
  void *start;
  return napi_get_buffer_info(env, value, &start, length) == napi_ok && (*bytes = start) != NULL &&
         napi_create_reference(env, value, 1, reference) == napi_ok;
}

/*
 * attach(descriptor, slots, head, onRequest(slot, length) → kept, onEnd(errno)) → channel. The descriptor is the channel's
 * from then on, also when this fails.
 */
static napi_value attach(napi_env env, napi_callback_info info) {
  size_t count = 5;
  napi_value arguments[5], name, result, slot;
  int32_t fd;
  uv_loop_t *loop;
  CHECK(napi_get_cb_info(env, info, &count, arguments, NULL, NULL));
  CHECK(napi_get_value_int32(env, arguments[0], &fd));
  channel_t *channel = calloc(1, sizeof *channel);
  if (!channel) goto failed;
  channel->env = env;
  channel->fd = fd;
  channel->done_fd = -1;
  channel->poll.data = channel;
  if (napi_get_array_length(env, arguments[1], &channel->slot_count) != napi_ok || channel->slot_count == 0 ||
      channel->slot_count > SLOT_COUNT_MAX)
    goto failed;
  for (uint32_t index = 0; index < channel->slot_count; index++) {
    slot_t *at = &channel->slots[index];
    if (napi_get_element(env, arguments[1], index, &slot) != napi_ok ||
        !keep_buffer(env, slot, &at->bytes, &at->length, &at->reference))
      goto failed;
  }
  if (!keep_buffer(env, arguments[2], &channel->head, &channel->head_length, &channel->head_reference) ||
      napi_create_reference(env, arguments[3], 1, &channel->on_request) != napi_ok ||
      napi_create_reference(env, arguments[4], 1, &channel->on_end) != napi_ok ||
      napi_create_string_utf8(env, "stampede-fuse", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_async_init(env, NULL, name, &channel->context) != napi_ok ||
      napi_get_uv_event_loop(env, &loop) != napi_ok || uv_poll_init(loop, &channel->poll, fd) != 0)
    goto failed;
  /* From here on the poll has a share, and closing it is what gives that back. */
  channel->share_count = 2;
  channel->handle_count = 1;
  if (napi_create_external(env, channel, channel_finalized, NULL, &result) != napi_ok) {
    channel->share_count = 1;
    channel_close(channel);
    return failed_call(env);
  }
  if (napi_type_tag_object(env, result, &CHANNEL_TAG) != napi_ok ||
      napi_add_async_cleanup_hook(env, environment_ends, channel, &channel->cleanup) != napi_ok ||
      uv_poll_start(&channel->poll, UV_READABLE, device_is_readable) != 0) {
    channel_close(channel);
    return failed_call(env);
  }
  return result;
failed:
  /* References of a call that was wrong to begin with end with the environment. */
  close(fd);
  free(channel);
  return failed_call(env);
}

/*
 * reply(channel, headBytes, pieces?) → 0 or -errno: writes the first bytes of the head buffer and the pieces behind them
 * as one message. The caller must not change a piece before this returns.
 */
static napi_value reply(napi_env env, napi_callback_info info) {
  size_t count = 3, total;
  napi_value arguments[3], element;
  uint32_t head_length, piece_count = 0, said;
  struct iovec vectors[1 + PIECE_COUNT_MAX];
  CHECK(napi_get_cb_info(env, info, &count, arguments, NULL, NULL));
  channel_t *channel = channel_of(env, arguments[0]);
  if (!channel) return NULL;
  CHECK(napi_get_value_uint32(env, arguments[1], &head_length));
  if (channel->is_closed) return integer(env, -ENODEV);
  if (head_length < OUT_HEADER_BYTES || head_length > channel->head_length) return integer(env, -EINVAL);
  napi_valuetype type = napi_undefined;
  if (count > 2) CHECK(napi_typeof(env, arguments[2], &type));
  if (type != napi_undefined) CHECK(napi_get_array_length(env, arguments[2], &piece_count));
  if (piece_count > PIECE_COUNT_MAX) return integer(env, -E2BIG);
  vectors[0].iov_base = channel->head;
  vectors[0].iov_len = total = head_length;
  for (uint32_t index = 0; index < piece_count; index++) {
    CHECK(napi_get_element(env, arguments[2], index, &element));
    CHECK(napi_get_buffer_info(env, element, &vectors[1 + index].iov_base, &vectors[1 + index].iov_len));
    total += vectors[1 + index].iov_len;
  }
  memcpy(&said, channel->head, sizeof said);
  if (said != total) return integer(env, -EINVAL);
  ssize_t written;
  do written = writev(channel->fd, vectors, 1 + (int)piece_count);
  while (written < 0 && errno == EINTR);
  return integer(env, written < 0 ? -errno : 0);
}

/* release(channel, slot): gives a slot back that onRequest kept. */
static napi_value release_slot(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2];
  uint32_t index;
  CHECK(napi_get_cb_info(env, info, &count, arguments, NULL, NULL));
  channel_t *channel = channel_of(env, arguments[0]);
  if (!channel) return NULL;
  CHECK(napi_get_value_uint32(env, arguments[1], &index));
  if (index >= channel->slot_count) return integer(env, -EINVAL);
  channel->slots[index].is_used = 0;
  if (channel->is_paused && !channel->is_closed) {
    channel->is_paused = 0;
    uv_poll_start(&channel->poll, UV_READABLE, device_is_readable);
  }
  return integer(env, 0);
}

/* backingOpen(channel, descriptor) → what the kernel calls the file, or -errno. It has a share of the file from then on. */
static napi_value backing_open(napi_env env, napi_callback_info info) {
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
static napi_value backing_close(napi_env env, napi_callback_info info) {
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

/* detach(channel): closes the device, which ends the mount where it is still there. */
static napi_value detach(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  CHECK(napi_get_cb_info(env, info, &count, &argument, NULL, NULL));
  channel_t *channel = channel_of(env, argument);
  if (!channel) return NULL;
  channel_close(channel);
  return integer(env, 0);
}

static void messages_write(int fd, const uint8_t *bytes, size_t all) {
  for (size_t offset = 0; offset + OUT_HEADER_BYTES <= all;) {
    uint32_t length;
    memcpy(&length, bytes + offset, sizeof length);
    if (length < OUT_HEADER_BYTES || length > all - offset) return;
    /* What the kernel does not know, it need not forget; a mount that is gone has forgotten everything. */
    if (write(fd, bytes + offset, length) < 0 && errno == EINTR) continue;
    offset += length;
  }
}

/* Leaves the thread with two descriptors of its own. Returns 0 or an errno. */
static int keep_only(int one, int other) {
  unsigned int low = (unsigned int)(one < other ? one : other), high = (unsigned int)(one < other ? other : one);
  /* The first call makes the table the thread's own. */
  if (syscall(SYS_close_range, high + 1, ~0U, CLOSE_RANGE_UNSHARE) != 0) return errno;
  if (low > 0) syscall(SYS_close_range, 0, low - 1, 0);
  if (high > low + 1) syscall(SYS_close_range, low + 1, high - 1, 0);
  return 0;
}

static void *notifier_run(void *argument) {
  notifier_t *notifier = argument;
  const uint64_t one = 1;
  int error = keep_only(notifier->fd, notifier->done_fd);
  pthread_mutex_lock(&notifier->mutex);
  notifier->error = error;
  notifier->state = error == 0 ? READY : FAILED;
  pthread_cond_broadcast(&notifier->changed);
  while (error == 0 && !notifier->is_ending) {
    size_t length = notifier->is_done ? 0 : notifier->length;
    if (length == 0) {
      pthread_cond_wait(&notifier->changed, &notifier->mutex);
      continue;
    }
    pthread_mutex_unlock(&notifier->mutex);
    messages_write(notifier->fd, notifier->bytes, length);
    pthread_mutex_lock(&notifier->mutex);
    notifier->is_done = 1;
    if (write(notifier->done_fd, &one, sizeof one) < 0) continue;
  }
  pthread_mutex_unlock(&notifier->mutex);
  /* A thread whose table is not its own leaves the numbers to the process. */
  if (error == 0) {
    close(notifier->fd);
    close(notifier->done_fd);
  }
  notifier_dropped(notifier);
  return NULL;
}

/* Starts a thread with a clone of the device. Returns 0 or an errno. */
static int notifier_start(channel_t *channel, notifier_t **started) {
  int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (fd < 0) return errno;
  uint32_t device = (uint32_t)channel->fd;
  if (ioctl(fd, FUSE_DEV_IOC_CLONE, &device) != 0) {
    int error = errno;
    close(fd);
    return error;
  }
  notifier_t *notifier = calloc(1, sizeof *notifier);
  if (!notifier) {
    close(fd);
    return ENOMEM;
  }
  notifier->share_count = 2;
  notifier->fd = fd;
  notifier->done_fd = channel->done_fd;
  pthread_mutex_init(&notifier->mutex, NULL);
  pthread_cond_init(&notifier->changed, NULL);
  pthread_t thread;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(&thread, NULL, notifier_run, notifier);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (error == 0) {
    pthread_detach(thread);
    pthread_mutex_lock(&notifier->mutex);
    while (notifier->state == STARTING) pthread_cond_wait(&notifier->changed, &notifier->mutex);
    error = notifier->error;
    pthread_mutex_unlock(&notifier->mutex);
  } else {
    notifier_dropped(notifier);
  }
  /* The thread has its own by now. */
  close(fd);
  if (error == 0) *started = notifier;
  else notifier_dropped(notifier);
  return error;
}

static void notifier_is_done(channel_t *channel, int index) {
  notifier_t *notifier = channel->notifiers[index];
  if (!notifier) return;
  pthread_mutex_lock(&notifier->mutex);
  int is_done = notifier->is_done;
  if (is_done) notifier->is_done = 0, notifier->length = 0;
  pthread_mutex_unlock(&notifier->mutex);
  napi_ref reference = channel->on_notified[index];
  if (!is_done || !reference) return;
  channel->on_notified[index] = NULL;
  napi_handle_scope scope;
  napi_value result;
  if (napi_open_handle_scope(channel->env, &scope) == napi_ok) {
    call_back(channel, reference, 0, NULL, &result);
    napi_close_handle_scope(channel->env, scope);
  }
  napi_delete_reference(channel->env, reference);
}

static void messages_are_written(uv_poll_t *poll, int status, int events) {
  (void)status, (void)events;
  channel_t *channel = poll->data;
  uint64_t count;
  if (read(channel->done_fd, &count, sizeof count) < 0) return;
  for (int index = 0; index < NOTIFIER_COUNT && !channel->is_closed; index++) notifier_is_done(channel, index);
}

/* startNotifying(channel) → 0, or -errno where this kernel takes no notifications from another thread. */
static napi_value start_notifying(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  uv_loop_t *loop;
  CHECK(napi_get_cb_info(env, info, &count, &argument, NULL, NULL));
  channel_t *channel = channel_of(env, argument);
  if (!channel) return NULL;
  if (channel->is_closed) return integer(env, -ENODEV);
  if (channel->done_fd >= 0) return integer(env, -EALREADY);
  CHECK(napi_get_uv_event_loop(env, &loop));
  int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (fd < 0) return integer(env, -errno);
  if (uv_poll_init(loop, &channel->done_poll, fd) != 0) {
    close(fd);
    return integer(env, -ENOMEM);
  }
  channel->done_poll.data = channel;
  channel->done_fd = fd;
  channel->share_count++;
  channel->handle_count++;
  if (uv_poll_start(&channel->done_poll, UV_READABLE, messages_are_written) != 0) return integer(env, -ENOMEM);
  for (int index = 0; index < NOTIFIER_COUNT; index++) {
    int error = notifier_start(channel, &channel->notifiers[index]);
    if (error != 0) return integer(env, -error);
  }
  return integer(env, 0);
}

/*
 * notify(channel, notifier, messages, onDone) → 0 or -errno, -EBUSY until the last ones are done: writes messages, one
 * behind the other, on another thread.
 */
static napi_value notify(napi_env env, napi_callback_info info) {
  size_t count = 4, length;
  napi_value arguments[4];
  uint32_t index;
  void *bytes;
  CHECK(napi_get_cb_info(env, info, &count, arguments, NULL, NULL));
  channel_t *channel = channel_of(env, arguments[0]);
  if (!channel) return NULL;
  CHECK(napi_get_value_uint32(env, arguments[1], &index));
  CHECK(napi_get_buffer_info(env, arguments[2], &bytes, &length));
  if (channel->is_closed) return integer(env, -ENODEV);
  if (index >= NOTIFIER_COUNT || !channel->notifiers[index]) return integer(env, -EINVAL);
  if (length < OUT_HEADER_BYTES || length > NOTIFY_BYTES_MAX) return integer(env, -E2BIG);
  if (channel->on_notified[index]) return integer(env, -EBUSY);
  CHECK(napi_create_reference(env, arguments[3], 1, &channel->on_notified[index]));
  notifier_t *notifier = channel->notifiers[index];
  pthread_mutex_lock(&notifier->mutex);
  memcpy(notifier->bytes, bytes, length);
  notifier->length = length;
  pthread_cond_signal(&notifier->changed);
  pthread_mutex_unlock(&notifier->mutex);
  return integer(env, 0);
}

static napi_value initialize(napi_env env, napi_value exports) {
  const napi_property_descriptor functions[] = {
    {.utf8name = "mountDirectory", .method = mount_directory, .attributes = napi_enumerable},
    {.utf8name = "socketPair", .method = socket_pair, .attributes = napi_enumerable},
    {.utf8name = "receiveDevice", .method = receive_device, .attributes = napi_enumerable},
    {.utf8name = "closeDescriptor", .method = close_descriptor, .attributes = napi_enumerable},
    {.utf8name = "lockFile", .method = lock_file, .attributes = napi_enumerable},
    {.utf8name = "readNow", .method = read_now, .attributes = napi_enumerable},
    {.utf8name = "attach", .method = attach, .attributes = napi_enumerable},
    {.utf8name = "reply", .method = reply, .attributes = napi_enumerable},
    {.utf8name = "release", .method = release_slot, .attributes = napi_enumerable},
    {.utf8name = "backingOpen", .method = backing_open, .attributes = napi_enumerable},
    {.utf8name = "backingClose", .method = backing_close, .attributes = napi_enumerable},
    {.utf8name = "detach", .method = detach, .attributes = napi_enumerable},
    {.utf8name = "startNotifying", .method = start_notifying, .attributes = napi_enumerable},
    {.utf8name = "notify", .method = notify, .attributes = napi_enumerable}
  };
  CHECK(napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions));
  return exports;
}

NAPI_MODULE(NODE_GYP_MODULE_NAME, initialize)
