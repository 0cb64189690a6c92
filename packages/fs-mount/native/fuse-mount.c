/* Mounting, by mount(2) or by a program that has the right to and passes the device through a socket. */
#include "fuse-device.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATH_BYTES_MAX 4097
#define OPTIONS_BYTES_MAX 1024

static int text_of(napi_env env, napi_value value, char *into, size_t size) {
  size_t length;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok || length >= size) return 0;
  return napi_get_value_string_utf8(env, value, into, size, &length) == napi_ok && strlen(into) == length;
}

/* mountDirectory(directory, source, options) → descriptor or -errno. */
napi_value mount_directory(napi_env env, napi_callback_info info) {
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
napi_value socket_pair(napi_env env, napi_callback_info info) {
  (void)info;
  int fds[2];
  napi_value pair;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) return integer(env, -errno);
  CHECK(napi_create_array_with_length(env, 2, &pair));
  for (uint32_t index = 0; index < 2; index++) CHECK(napi_set_element(env, pair, index, integer(env, fds[index])));
  return pair;
}

/* receiveDevice(descriptor) → the descriptor of the device that was sent through the socket, or -errno. Never waits. */
napi_value receive_device(napi_env env, napi_callback_info info) {
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
napi_value close_descriptor(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  int32_t fd;
  CHECK(napi_get_cb_info(env, info, &count, &argument, NULL, NULL));
  CHECK(napi_get_value_int32(env, argument, &fd));
  return integer(env, close(fd) == 0 ? 0 : -errno);
}
