/* Makes calls on files fail as a broken or a full disk makes them fail. Loaded into a process with
 * LD_PRELOAD; what fails is read from the file that COUNTERFOIL_FAULTS names, whenever it changes:
 *
 *   fail <glob> <call> <errno> <n> <once|ever>   the n-th such call on a path of this form, and all after it
 *   free <bytes>                                 what statvfs says of free space
 *
 * Calls: write, fsync, range (sync_file_range), open, rename, read. What has failed is noted in the same file's name + ".hits". */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { RULES_MAX = 32, TEXT_MAX = 8192, PATH_LENGTH = 1024 };

struct rule {
    char glob[256];
    char call[16];
    int error;
    long nth;
    int ever;
    long seen;
};

static struct rule rules[RULES_MAX];
static int rule_count;
static long long fake_free = -1;
static struct timespec read_at;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int error_of(const char *name) {
    if (!strcmp(name, "ENOSPC")) return ENOSPC;
    if (!strcmp(name, "EDQUOT")) return EDQUOT;
    return EIO;
}

/* Calls the kernel itself, so that nothing here comes back here. */
static void reload(void) {
    const char *path = getenv("COUNTERFOIL_FAULTS");
    if (!path) return;
    int file = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (file < 0) return;
    struct stat found;
    if (syscall(SYS_fstat, file, &found) == 0 &&
        (found.st_mtim.tv_sec != read_at.tv_sec || found.st_mtim.tv_nsec != read_at.tv_nsec)) {
        char text[TEXT_MAX];
        long length = syscall(SYS_read, file, text, sizeof text - 1);
        if (length >= 0) {
            text[length] = 0;
            read_at = found.st_mtim;
            rule_count = 0;
            fake_free = -1;
            char *rest = text, *line;
            while ((line = strsep(&rest, "\n")) && rule_count < RULES_MAX) {
                struct rule *rule = &rules[rule_count];
                char error[16], mode[8];
                memset(rule, 0, sizeof *rule);
                if (sscanf(line, "free %lld", &fake_free) == 1) continue;
                if (sscanf(line, "fail %255s %15s %15s %ld %7s", rule->glob, rule->call, error,
                           &rule->nth, mode) == 5) {
                    rule->error = error_of(error);
                    rule->ever = !strcmp(mode, "ever");
                    rule_count++;
                }
            }
        }
    }
    syscall(SYS_close, file);
}

static void note(const char *call, const char *path, int error) {
    const char *control = getenv("COUNTERFOIL_FAULTS");
    char name[PATH_LENGTH], line[PATH_LENGTH + 64];
    snprintf(name, sizeof name, "%s.hits", control);
    int length = snprintf(line, sizeof line, "%s %s %s\n", call, strerrorname_np(error), path);
    int file = (int)syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (file < 0) return;
    syscall(SYS_write, file, line, (size_t)length);
    syscall(SYS_close, file);
}

/* The error that this call shall have; 0 for none. */
static int fault(const char *call, const char *path) {
    int error = 0;
    pthread_mutex_lock(&lock);
    reload();
    for (int i = 0; i < rule_count && !error; i++) {
        struct rule *rule = &rules[i];
        if (strcmp(rule->call, call) || fnmatch(rule->glob, path, FNM_EXTMATCH)) continue;
        rule->seen++;
        if (rule->seen == rule->nth || (rule->ever && rule->seen > rule->nth)) error = rule->error;
    }
    if (error) note(call, path, error);
    pthread_mutex_unlock(&lock);
    return error;
}

static int fault_of_descriptor(const char *call, int file) {
    char link[64], path[PATH_LENGTH];
    if (!getenv("COUNTERFOIL_FAULTS")) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    long length = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    if (length <= 0 || path[0] != '/') return 0;
    path[length] = 0;
    return fault(call, path);
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define ON_DESCRIPTOR(call, result, name, parameters, arguments)          \
    result name parameters {                                              \
        static __typeof__(&name) next;                                    \
        if (!next) next = NEXT(name);                                     \
        int error = fault_of_descriptor(call, file);                      \
        if (error) {                                                      \
            errno = error;                                                \
            return -1;                                                    \
        }                                                                 \
        return next arguments;                                            \
    }

ON_DESCRIPTOR("write", ssize_t, write, (int file, const void *bytes, size_t count), (file, bytes, count))
ON_DESCRIPTOR("write", ssize_t, pwrite, (int file, const void *bytes, size_t count, off_t at), (file, bytes, count, at))
ON_DESCRIPTOR("write", ssize_t, pwrite64, (int file, const void *bytes, size_t count, off64_t at), (file, bytes, count, at))
ON_DESCRIPTOR("write", ssize_t, writev, (int file, const struct iovec *parts, int count), (file, parts, count))
ON_DESCRIPTOR("fsync", int, fsync, (int file), (file))
ON_DESCRIPTOR("fsync", int, fdatasync, (int file), (file))
ON_DESCRIPTOR("range", int, sync_file_range, (int file, off64_t at, off64_t count, unsigned flags), (file, at, count, flags))
ON_DESCRIPTOR("read", ssize_t, read, (int file, void *bytes, size_t count), (file, bytes, count))
ON_DESCRIPTOR("read", ssize_t, pread, (int file, void *bytes, size_t count, off_t at), (file, bytes, count, at))
ON_DESCRIPTOR("read", ssize_t, pread64, (int file, void *bytes, size_t count, off64_t at), (file, bytes, count, at))

#define ON_OPEN(name)                                                     \
    int name(const char *path, int flags, ...) {                          \
        static __typeof__(&name) next;                                    \
        if (!next) next = NEXT(name);                                     \
        va_list list;                                                     \
        va_start(list, flags);                                            \
        mode_t mode = va_arg(list, mode_t);                               \
        va_end(list);                                                     \
        int error = getenv("COUNTERFOIL_FAULTS") ? fault("open", path) : 0; \
        if (error) {                                                      \
            errno = error;                                                \
            return -1;                                                    \
        }                                                                 \
        return next(path, flags, mode);                                   \
    }

ON_OPEN(open)
ON_OPEN(open64)

int rename(const char *from, const char *to) {
    int error = getenv("COUNTERFOIL_FAULTS") ? fault("rename", to) : 0;
    if (error) {
        errno = error;
        return -1;
    }
    return NEXT(rename)(from, to);
}

static long long space(void) {
    long long free;
    if (!getenv("COUNTERFOIL_FAULTS")) return -1;
    pthread_mutex_lock(&lock);
    reload();
    free = fake_free;
    pthread_mutex_unlock(&lock);
    return free;
}

#define ON_SPACE(name, type)                                              \
    int name(const char *path, struct type *found) {                      \
        int result = NEXT(name)(path, found);                             \
        long long free = space();                                         \
        if (result == 0 && free >= 0) {                                   \
            found->f_frsize = found->f_bsize = 4096;                      \
            found->f_bavail = found->f_bfree = (unsigned long)free / 4096; \
        }                                                                 \
        return result;                                                    \
    }

ON_SPACE(statvfs, statvfs)
ON_SPACE(statvfs64, statvfs64)
