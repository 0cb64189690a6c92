/* The device: what the kernel asks, and what it is answered. */
#include "fuse-device.h"
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* So many requests are read before timers and sockets of the process have their turn. */
#define REQUESTS_PER_TURN 64
/* The loop has more to do than this device: a writer of large blocks would keep it here for 64 ms. */
#define TURN_NS 1000000
#define PIECE_COUNT_MAX 32
#define IN_HEADER_BYTES 40
/* Requests that nobody has read yet when the device is closed. */
#define DRAINED_COUNT_MAX 100000

static const napi_type_tag CHANNEL_TAG = {0x6f3a1d24c8be4f10ULL, 0x9d5c7be13a40f862ULL};

napi_value failed_call(napi_env env) {
  const napi_extended_error_info *info = NULL;
  bool is_pending = false;
  napi_get_last_error_info(env, &info);
  napi_is_exception_pending(env, &is_pending);
  if (!is_pending)
    napi_throw_error(env, NULL, info && info->error_message ? info->error_message : "fuse-device: wrong call");
  return NULL;
}

napi_value integer(napi_env env, int64_t value) {
  napi_value result;
  CHECK(napi_create_int64(env, value, &result));
  return result;
}

static void share_dropped(channel_t *channel) {
  if (--channel->share_count == 0) free(channel);
}

channel_t *channel_of(napi_env env, napi_value value) {
  bool is_channel = false;
  void *channel = NULL;
  if (napi_check_object_type_tag(env, value, &CHANNEL_TAG, &is_channel) != napi_ok || !is_channel ||
      napi_get_value_external(env, value, &channel) != napi_ok) {
    napi_throw_type_error(env, NULL, "fuse-device: the first argument is no channel");
    return NULL;
  }
  return channel;
}

void handle_closed(channel_t *channel) {
  if (--channel->handle_count == 0 && channel->cleanup) {
    napi_remove_async_cleanup_hook(channel->cleanup);
    channel->cleanup = NULL;
  }
  share_dropped(channel);
}

static void poll_closed(uv_handle_t *handle) {
  handle_closed(handle->data);
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
  notifiers_close(channel);
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

int call_back(channel_t *channel, napi_ref reference, size_t count, const napi_value *arguments, napi_value *result) {
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
