/*
 * Preloaded into a member (LD_PRELOAD), it makes the member's disk slow or broken, and notes how much of
 * the transaction logs has really reached it.
 *
 * FAULTY_DISK is a directory. The file `do` in it says what every fsync and fdatasync does from now on:
 * `delay MS` takes so long, `fail ERRNO` gives that error; without the file, nothing. The file NAME.synced
 * has where the log NAME ended, the zeros behind it not counted, before the last sync of it that succeeded.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *directory(void) { return getenv("FAULTY_DISK"); }

/* The file's path, when it is a log; or NULL. */
static const char *log_path(int fd, char *path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, size - 1);
    if (length <= 0) return NULL;
    path[length] = 0;
    const char *name = strrchr(path, '/');
    return name && strncmp(name, "/log.", 5) == 0 ? path : NULL;
}

/* Where the file ends, the zeros that it was grown by not counted. */
static off_t end_of(const char *path) {
    char block[65536];
    struct stat state;
    off_t end = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    if (fstat(fd, &state) == 0) {
        for (off_t at = state.st_size; at > 0 && end == 0;) {
            size_t count = at < (off_t)sizeof block ? (size_t)at : sizeof block;
            at -= (off_t)count;
            ssize_t got = pread(fd, block, count, at);
            while (got > 0 && block[got - 1] == 0) got--;
            if (got > 0) end = at + got;
        }
    }
    close(fd);
    return end;
}

/* What the file `do` wants: 0, or the error. */
static int obey(void) {
    char path[512], text[64] = "";
    snprintf(path, sizeof path, "%s/do", directory());
    FILE *file = fopen(path, "re");
    if (!file) return 0;
    char *line = fgets(text, sizeof text, file);
    fclose(file);
    int number = 0;
    if (line && sscanf(text, "delay %d", &number) == 1) usleep((useconds_t)number * 1000);
    if (line && sscanf(text, "fail %d", &number) == 1) return number;
    return 0;
}

/* One write of one length: who is killed here leaves the old number or the new one. */
static void note(const char *path, off_t end) {
    char noted[1024], text[32];
    snprintf(noted, sizeof noted, "%s%s.synced", directory(), strrchr(path, '/'));
    int fd = open(noted, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) return;
    int length = snprintf(text, sizeof text, "%020lld\n", (long long)end);
    if (pwrite(fd, text, (size_t)length, 0) != length) abort();
    close(fd);
}

static int sync_by(const char *name, int fd) {
    char buffer[512];
    int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    if (!directory()) return next(fd);
    int before = errno;
    const char *path = log_path(fd, buffer, sizeof buffer);
    off_t end = path ? end_of(path) : 0;
    int error = obey();
    if (error) {
        errno = error;
        return -1;
    }
    int done = next(fd);
    if (done == 0) {
        if (end > 0) note(path, end);
        errno = before;
    }
    return done;
}

int fsync(int fd) { return sync_by("fsync", fd); }

int fdatasync(int fd) { return sync_by("fdatasync", fd); }
