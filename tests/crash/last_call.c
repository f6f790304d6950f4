/* Preloaded into a server. With KT_KILL_AT=N, it is killed in the N-th call that changes a file whose path
 * has KT_FILES in it. Of a write, half may have been made then, up to the boundary of a page: that is
 * where the kernel looks for signals; of a change of a file's size, all with KT_AFTER. With KT_NAMES only calls
 * count that change names. With KT_DEVICE=DIR, what is brought to the device is copied there under its name: all
 * that a loss of power would leave, if it leaves no more than it must. (Names that come or go do so at once.) */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int calls;

static int is_last(const char *path) {
  const char *at = getenv("KT_KILL_AT");
  const char *files = getenv("KT_FILES");
  if (at == NULL || files == NULL || strstr(path, files) == NULL) return 0;
  return __sync_add_and_fetch(&calls, 1) == atoi(at);
}

static void path_of(int file, char *path) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  const ssize_t n = readlink(link, path, PATH_MAX - 1);
  path[n > 0 ? n : 0] = '\0';
}

static int is_last_of(int file) {
  if (getenv("KT_NAMES") != NULL) return 0;
  char path[PATH_MAX];
  path_of(file, path);
  return is_last(path);
}

static void end(void) { kill(getpid(), SIGKILL); }

static size_t part(size_t size, off64_t offset) {
  const off64_t end = (offset + (off64_t)size / 2) / 4096 * 4096;
  return end > offset ? (size_t)(end - offset) : 0;
}

ssize_t pwrite64(int file, const void *data, size_t size, off64_t offset) {
  const int last = is_last_of(file);
  const ssize_t n = REAL(pwrite64)(file, data, last ? part(size, offset) : size, offset);
  if (last) end();
  return n;
}

ssize_t pwrite(int file, const void *data, size_t size, off_t offset) {
  return pwrite64(file, data, size, offset);
}

ssize_t write(int file, const void *data, size_t size) {
  const int last = is_last_of(file);
  const ssize_t n = REAL(write)(file, data, last ? part(size, lseek(file, 0, SEEK_CUR)) : size);
  if (last) end();
  return n;
}

int ftruncate64(int file, off64_t size) {
  const int last = is_last_of(file);
  if (last && getenv("KT_AFTER") == NULL) end();
  const int done = REAL(ftruncate64)(file, size);
  if (last) end();
  return done;
}

int ftruncate(int file, off_t size) { return ftruncate64(file, size); }


/* On the device. */

static int on_device(const char *path, char *there) {
  const char *directory = getenv("KT_DEVICE");
  const char *name = strrchr(path, '/');
  if (directory == NULL || name == NULL || strstr(path, "/dev/") == path) return 0;
  snprintf(there, PATH_MAX, "%s/%s", directory, name + 1);
  return 1;
}

static void copy(int file) {
  char path[PATH_MAX], there[PATH_MAX + 8], block[1 << 16];
  struct stat status;
  path_of(file, path);
  if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode) || !on_device(path, there)) return;
  const int from = open(path, O_RDONLY | O_CLOEXEC);
  char temporary[PATH_MAX + 16];
  snprintf(temporary, sizeof temporary, "%s.copy", there);
  const int to = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  ssize_t n;
  while ((n = read(from, block, sizeof block)) > 0) {
    if (REAL(write)(to, block, n) != n) abort();
  }
  close(from);
  close(to);
  REAL(rename)(temporary, there);
}

int unlink(const char *path) {
  char named[PATH_MAX], there[PATH_MAX];
  if (is_last(path)) end();
  const int done = REAL(unlink)(path);
  snprintf(named, sizeof named, "/%s", path);
  if (done == 0 && on_device(named, there)) REAL(unlink)(there);
  return done;
}

int link(const char *from, const char *to) {
  char old[PATH_MAX], new[PATH_MAX], path[PATH_MAX], target[PATH_MAX];
  if (is_last(to)) end();
  const int done = REAL(link)(from, to);
  snprintf(path, sizeof path, "/%s", from);
  snprintf(target, sizeof target, "/%s", to);
  if (done == 0 && on_device(path, old) && on_device(target, new)) REAL(link)(old, new);
  return done;
}

/* From a descriptor, or from a name. */
int linkat(int from_directory, const char *from, int to_directory, const char *to, int flags) {
  char present[PATH_MAX], old[PATH_MAX], new[PATH_MAX], target[PATH_MAX];
  if (is_last(to)) end();
  const int done = REAL(linkat)(from_directory, from, to_directory, to, flags);
  snprintf(target, sizeof target, "/%s", to);
  if (done == 0 && realpath(from, present) != NULL && on_device(present, old) && on_device(target, new)) {
    REAL(link)(old, new);
  }
  return done;
}

int rename(const char *from, const char *to) {
  char old[PATH_MAX], new[PATH_MAX], path[PATH_MAX], target[PATH_MAX];
  if (is_last(to)) end();
  const int done = REAL(rename)(from, to);
  snprintf(path, sizeof path, "/%s", from);
  snprintf(target, sizeof target, "/%s", to);
  if (done == 0 && on_device(path, old) && on_device(target, new)) REAL(rename)(old, new);
  return done;
}

int fsync(int file) {
  const int done = REAL(fsync)(file);
  copy(file);
  return done;
}

int fdatasync(int file) {
  const int done = REAL(fdatasync)(file);
  copy(file);
  return done;
}
