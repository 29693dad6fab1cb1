/*
 * The mini-script through ZooKeeper's C client (libzookeeper_mt): create, read, update, watch, delete, multi.
 * Usage: c_client HOST:PORT. Prints what the server made of it, without times and session ids.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zookeeper.h>

#define DEADLINE_S 20

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

/* What the watcher of one connection has seen. */
struct seen {
    int connected;
    int events;
    char text[256];
};

static void fail(const char *what) {
    printf("FAILED: %s\n", what);
    exit(1);
}

static void watcher(zhandle_t *zh, int type, int state, const char *path, void *context) {
    struct seen *seen = zh != NULL && context == NULL ? (struct seen *)zoo_get_context(zh) : context;
    pthread_mutex_lock(&lock);
    if (type == ZOO_SESSION_EVENT) {
        seen->connected = state == ZOO_CONNECTED_STATE;
    } else {
        snprintf(seen->text, sizeof seen->text, "type=%d state=%d path=%s", type, state, path);
        seen->events++;
    }
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* Waits until *value is non-zero. */
static void await(int *value, const char *what) {
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += DEADLINE_S;
    pthread_mutex_lock(&lock);
    while (!*value) {
        if (pthread_cond_timedwait(&changed, &lock, &deadline) == ETIMEDOUT) {
            fail(what);
        }
    }
    pthread_mutex_unlock(&lock);
}

static void event(struct seen *seen) {
    await(&seen->events, "no event in time");
    pthread_mutex_lock(&lock);
    printf("event %s\n", seen->text);
    seen->events--;
    pthread_mutex_unlock(&lock);
}

static zhandle_t *connect_to(const char *host, struct seen *seen) {
    zhandle_t *zh = zookeeper_init(host, watcher, 30000, NULL, seen, 0);
    if (zh == NULL) {
        fail("zookeeper_init");
    }
    await(&seen->connected, "not connected in time");
    return zh;
}

static void result(const char *what, const char *path, int rc) {
    printf("%s %s -> %s", what, path, rc == ZOK ? "ok" : zerror(rc));
}

static void stat_line(int rc, const struct Stat *stat) {
    if (rc == ZOK) {
        printf(" czxid=%" PRId64 " mzxid=%" PRId64 " pzxid=%" PRId64, stat->czxid, stat->mzxid, stat->pzxid);
        printf(" version=%d cversion=%d aversion=%d", stat->version, stat->cversion, stat->aversion);
        printf(" len=%d kids=%d ephemeral=%d", stat->dataLength, stat->numChildren, stat->ephemeralOwner != 0);
        printf(" times=%d,%d", stat->ctime > 0, stat->mtime >= stat->ctime);
    }
    printf("\n");
}

static void create(zhandle_t *zh, const char *path, const char *data, int mode) {
    char made[256] = "";
    struct Stat stat;
    int length = data == NULL ? -1 : (int)strlen(data);
    int rc = zoo_create2(zh, path, data, length, &ZOO_OPEN_ACL_UNSAFE, mode, made, sizeof made, &stat);
    result("create2", path, rc);
    printf(" %s", made);
    stat_line(rc, &stat);
}

static void get(zhandle_t *zh, const char *path, struct seen *seen) {
    char data[256];
    int length = sizeof data;
    struct Stat stat;
    int rc = zoo_wget(zh, path, seen ? watcher : NULL, seen, data, &length, &stat);
    result("get", path, rc);
    if (rc == ZOK) {
        printf(" data=%d:%.*s", length, length > 0 ? length : 0, data);
    }
    stat_line(rc, &stat);
}

static void exists(zhandle_t *zh, const char *path, struct seen *seen) {
    struct Stat stat;
    int rc = zoo_wexists(zh, path, seen ? watcher : NULL, seen, &stat);
    result("exists", path, rc);
    stat_line(rc, &stat);
}

static void set(zhandle_t *zh, const char *path, const char *data, int version) {
    struct Stat stat;
    int rc = zoo_set2(zh, path, data, (int)strlen(data), version, &stat);
    result("set", path, rc);
    stat_line(rc, &stat);
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void children(zhandle_t *zh, const char *path, struct seen *seen) {
    struct String_vector names;
    struct Stat stat;
    int rc = zoo_wget_children2(zh, path, seen ? watcher : NULL, seen, &names, &stat);
    result("children", path, rc);
    if (rc == ZOK) {
        qsort(names.data, (size_t)names.count, sizeof names.data[0], by_name);
        for (int i = 0; i < names.count; i++) {
            printf(" %s", names.data[i]);
        }
        deallocate_String_vector(&names);
    }
    stat_line(rc, &stat);
}

static void delete(zhandle_t *zh, const char *path, int version) {
    result("delete", path, zoo_delete(zh, path, version));
    printf("\n");
}

static void acl(zhandle_t *zh, const char *path) {
    struct ACL_vector entries;
    struct Stat stat;
    int rc = zoo_get_acl(zh, path, &entries, &stat);
    result("get_acl", path, rc);
    if (rc == ZOK) {
        for (int i = 0; i < entries.count; i++) {
            struct ACL *one = &entries.data[i];
            printf(" %s:%s:%d", one->id.scheme, one->id.id, one->perms);
        }
        deallocate_ACL_vector(&entries);
    }
    stat_line(rc, &stat);
}

static void multi(zhandle_t *zh, int fails) {
    char one[64] = "", two[64] = "";
    struct Stat stat;
    memset(&stat, 0, sizeof stat);
    zoo_op_t ops[5];
    zoo_op_result_t results[5];
    zoo_create_op_init(&ops[0], fails ? "/u" : "/t", "1", 1, &ZOO_OPEN_ACL_UNSAFE, 0, one, sizeof one);
    zoo_create_op_init(&ops[1], "/t/x", "2", 1, &ZOO_OPEN_ACL_UNSAFE, 0, two, sizeof two);
    zoo_set_op_init(&ops[2], "/t", "33", 2, fails ? 9 : 0, &stat);
    zoo_check_op_init(&ops[3], "/t", 1);
    zoo_delete_op_init(&ops[4], "/t/x", 0);
    memset(results, 0, sizeof results);
    int rc = zoo_multi(zh, 5, ops, results);
    result("multi", fails ? "failing" : "succeeding", rc);
    for (int i = 0; i < 5; i++) {
        printf(" %d", results[i].err);
    }
    printf(" %s %s", one, two);
    stat_line(rc, &stat);
}

static void auth_done(int rc, const void *data) {
    pthread_mutex_lock(&lock);
    *(int *)data = rc == ZOK ? 1 : -1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void rights(zhandle_t *zh) {
    struct ACL one = {ZOO_PERM_ALL, {"digest", "bob:4rsXV9JgUbFl9ZE40xENilxlRV8="}};
    struct ACL_vector only_bob = {1, &one};
    static int authenticated = 0;
    acl(zh, "/a");
    result("set_acl", "/a/b", zoo_set_acl(zh, "/a/b", -1, &only_bob));
    printf("\n");
    get(zh, "/a/b", NULL);
    acl(zh, "/a/b");
    zoo_add_auth(zh, "digest", "bob:builder", 11, auth_done, &authenticated);
    await(&authenticated, "no answer to add_auth");
    printf("add_auth -> %d\n", authenticated);
    get(zh, "/a/b", NULL);
    acl(zh, "/a/b");
}

static void watches(zhandle_t *zh, zhandle_t *other, struct seen *seen) {
    exists(zh, "/w", seen);
    create(other, "/w", "1", ZOO_PERSISTENT);
    event(seen);
    get(zh, "/w", seen);
    set(other, "/w", "2", -1);
    event(seen);
    children(zh, "/w", seen);
    create(other, "/w/kid", "", ZOO_PERSISTENT);
    event(seen);
    delete (other, "/w/kid", -1);
    exists(zh, "/w", seen);
    delete (other, "/w", -1);
    event(seen);
}

int main(int argc, char **argv) {
    static struct seen seen, other_seen;
    if (argc != 2) {
        fail("usage: c_client HOST:PORT");
    }
    zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
    zhandle_t *zh = connect_to(argv[1], &seen);
    zhandle_t *other = connect_to(argv[1], &other_seen);

    create(zh, "/a", "one", ZOO_PERSISTENT);
    create(zh, "/a", "again", ZOO_PERSISTENT);
    create(zh, "/a/b", NULL, ZOO_PERSISTENT);
    create(zh, "/a/eph", "mine", ZOO_EPHEMERAL);
    create(zh, "/a/seq-", "", ZOO_PERSISTENT_SEQUENTIAL);
    create(zh, "/a/seq-", "", ZOO_EPHEMERAL_SEQUENTIAL);
    create(zh, "/box", "", ZOO_CONTAINER);
    create(zh, "/none/x", "", ZOO_PERSISTENT);
    get(zh, "/a", NULL);
    get(zh, "/a/b", NULL);
    get(zh, "/none", NULL);
    exists(zh, "/none", NULL);
    exists(zh, "/a/eph", NULL);
    children(zh, "/a", NULL);
    children(zh, "/none", NULL);
    set(zh, "/a", "two", 0);
    set(zh, "/a", "three", 0);
    set(zh, "/a", "four", -1);
    rights(zh);
    watches(zh, other, &seen);
    multi(zh, 0);
    multi(zh, 1);
    exists(zh, "/u", NULL);
    delete (zh, "/a", -1);
    delete (zh, "/box", 3);
    delete (zh, "/none", -1);
    delete (zh, "/box", 0);
    children(zh, "/", NULL);
    exists(other, "/a/eph", &other_seen);
    zookeeper_close(zh);
    event(&other_seen);
    exists(other, "/a/eph", NULL);
    children(other, "/a", NULL);
    zookeeper_close(other);
    return 0;
}
