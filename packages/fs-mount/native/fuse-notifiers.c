/*
 * The kernel may hold a notification until requests are answered that wait here, and nothing interrupts that: notifiers
 * are threads of their own. Each has its own table of descriptors, with a clone of the device, so that the end of the
 * process still closes the device itself: that ends the requests that were read, and with them the wait.
 */
#include "fuse-device.h"
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What is written with one notification call. */
#define NOTIFY_BYTES_MAX (64 * 1024)

/* Shared by its thread and the channel; the mutex guards everything below it. */
struct notifier {
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
};

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

void notifiers_close(channel_t *channel) {
  if (channel->done_fd >= 0) {
    uv_poll_stop(&channel->done_poll);
    uv_close((uv_handle_t *)&channel->done_poll, done_poll_closed);
  }
  for (int index = 0; index < NOTIFIER_COUNT; index++) {
    if (channel->notifiers[index]) notifier_end(channel->notifiers[index]);
    channel->notifiers[index] = NULL;
    if (channel->on_notified[index]) napi_delete_reference(channel->env, channel->on_notified[index]);
    channel->on_notified[index] = NULL;
  }
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
napi_value start_notifying(napi_env env, napi_callback_info info) {
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
napi_value notify(napi_env env, napi_callback_info info) {
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
