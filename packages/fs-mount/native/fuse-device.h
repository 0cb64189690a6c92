/*
 * What the parts of the Linux driver's addon share. All of the protocol but the length of a message is TypeScript's; here
 * are the calls that Node does not have: fuse-mount.c mounts, fuse-device.c waits for the device in Node's own event loop
 * and answers with one write of a head and the payload behind it, fuse-notifiers.c tells the kernel what to forget,
 * fuse-backing.c has the calls for files of the disk cache. Everything but writing notifications runs on the thread of the
 * loop.
 *
 * A channel is shared by the JavaScript value that stands for it and the polls of the loop; it is freed with the last of
 * them. Its buffers are JavaScript's and stay alive by references until then.
 */
#ifndef STAMPEDE_FUSE_DEVICE_H
#define STAMPEDE_FUSE_DEVICE_H

#define _GNU_SOURCE
#define NAPI_VERSION 8
#include <errno.h>
#include <node_api.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define SLOT_COUNT_MAX 64
#define OUT_HEADER_BYTES 16
/* What the kernel takes apart from each other: names, bytes, attributes. */
#define NOTIFIER_COUNT 3

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

typedef struct notifier notifier_t;

typedef struct {
  napi_env env;
  uv_poll_t poll;
  int fd;
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
  napi_async_context context;
  napi_async_cleanup_hook_handle cleanup;
  /* Of the notifiers; the descriptor is -1 until they are started. */
  uv_poll_t done_poll;
  int done_fd;
  notifier_t *notifiers[NOTIFIER_COUNT];
  napi_ref on_notified[NOTIFIER_COUNT];
} channel_t;

napi_value failed_call(napi_env env);
napi_value integer(napi_env env, int64_t value);

/* The channel of a call's first argument, or NULL with an exception. */
channel_t *channel_of(napi_env env, napi_value value);

/* Calls into JavaScript from the loop; what it throws ends the process as any uncaught exception. */
int call_back(channel_t *channel, napi_ref reference, size_t count, const napi_value *arguments, napi_value *result);

/* A poll of the channel is closed, and with the last one the environment may go on ending. */
void handle_closed(channel_t *channel);

/* Its threads end when what they write is written; nobody is called back any more. */
void notifiers_close(channel_t *channel);

napi_value mount_directory(napi_env env, napi_callback_info info);
napi_value socket_pair(napi_env env, napi_callback_info info);
napi_value receive_device(napi_env env, napi_callback_info info);
napi_value close_descriptor(napi_env env, napi_callback_info info);
napi_value start_notifying(napi_env env, napi_callback_info info);
napi_value notify(napi_env env, napi_callback_info info);
napi_value backing_open(napi_env env, napi_callback_info info);
napi_value backing_close(napi_env env, napi_callback_info info);
napi_value lock_file(napi_env env, napi_callback_info info);
napi_value read_now(napi_env env, napi_callback_info info);

#endif
