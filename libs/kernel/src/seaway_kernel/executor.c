/* Runs launch plans: one short function per op, a system call each or a few that can't be parted.
 *
 * Rules: nothing here allocates, prints, decides, or calls Python or any part of libc that keeps state. Everything
 * between clone and exec is a raw system call, since the child has one thread where libc may believe in several.
 * A function returns 0 (or a file descriptor) or -errno. The manual page of the system call is its documentation.
 *
 *   parent                              child
 *     clone3  ------------------------>   (waits)
 *     groups, id maps, oom score
 *     GO      ------------------------>   steps
 *             <------------------------ CHILD, pidfd     op fork: the rest is done by a sibling, which waits again
 *     GO      ------------------------>
 *             <------------------------ CONSOLE, fd      op console: the master of its terminal
 *             <------------------------ SYNC, value      op sync: the parent has something to do (hooks)
 *     GO      ------------------------>
 *             <------------------------ READY            op gate
 *     GO      ------------------------>   steps, exec
 *             <------------------------ end of file: exec has happened
 *             <------------------------ FAILED, step, errno: at any time, the last thing said
 */

#define _GNU_SOURCE
#include "executor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/securebits.h>
#include <linux/stat.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <termios.h>
#include <unistd.h>

/* <linux/mount.h> and <sys/mount.h> can't both be included with this libc. */
#define SW_MNT_DETACH 2
#define SW_AT_RECURSIVE 0x8000

enum { GO = 1, CHILD, CONSOLE, SYNC, READY, FAILED };

enum { NOTHING = -1 };

/* What the child has in its hands while it goes through its steps. */
struct state {
    int root;    /* the container's root directory, O_PATH */
    int tree;    /* a mount that isn't attached anywhere yet */
    int channel;
    int step;
};

static int result(long value)
{
    return value < 0 ? -errno : (int)value;
}

static int sys_close(int fd)
{
    return result(syscall(SYS_close, fd));
}

/* --- the channel --------------------------------------------------------------------------------------------------- */

static int say(const struct state *st, int kind, int error, int value, int fd)
{
    struct sw_message message = {kind, st->step, error, value};
    struct iovec part = {&message, sizeof message};
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd >= 0) {
        memset(&control, 0, sizeof control);
        header.msg_control = &control;
        header.msg_controllen = sizeof control.bytes;
        struct cmsghdr *rider = CMSG_FIRSTHDR(&header);
        rider->cmsg_level = SOL_SOCKET;
        rider->cmsg_type = SCM_RIGHTS;
        rider->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(rider), &fd, sizeof fd);
    }
    return result(syscall(SYS_sendmsg, st->channel, &header, MSG_NOSIGNAL)) < 0 ? -errno : 0;
}

/* Wait for GO. The parent's death is end of file: then nobody wants this child any more. */
static int wait_for_go(const struct state *st)
{
    struct sw_message message;
    long got;
    do
        got = syscall(SYS_read, st->channel, &message, sizeof message);
    while (got < 0 && errno == EINTR);
    return got == sizeof message && message.kind == GO ? 0 : -ECANCELED;
}

/* --- paths inside the container's root -------------------------------------------------------------------------------
 * Whatever the image or a neighbour did to a path, its resolution never leaves the root: openat2(2). */

static int in_root(int root, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
    struct open_how how = {
        .flags = flags | O_CLOEXEC,
        .mode = mode,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve,
    };
    long fd;
    do /* EAGAIN: somebody renamed a directory on the way; the kernel asks us to look again */
        fd = syscall(SYS_openat2, root, path, &how, sizeof how);
    while (fd < 0 && errno == EAGAIN);
    return result(fd);
}

enum { LINKS = 16 };

static int make_directories(int root, const char *path, mode_t mode, uint64_t resolve, int links);

/* Where the symbolic link `name` in the directory `prefix` points, as a path in the root. */
static int link_target(int directory, const char *prefix, size_t length, const char *name, char *path)
{
    char target[PATH_MAX];
    long size = syscall(SYS_readlinkat, directory, name, target, sizeof target - 1);
    if (size < 0)
        return -errno;
    size_t offset = target[0] == '/' ? 0 : length;
    if (offset + (size_t)size + 2 > PATH_MAX)
        return -ENAMETOOLONG;
    memcpy(path, prefix, offset);
    if (offset)
        path[offset++] = '/';
    memcpy(path + offset, target, (size_t)size);
    path[offset + (size_t)size] = 0;
    return 0;
}

/* The directory `path`, made if it isn't there; its parent is `directory`, its last component `name`. A link that
 * points at nothing gets what it points at. */
static int make_directory(int root, int directory, const char *path, size_t parent, mode_t mode, uint64_t resolve,
                          int links)
{
    const char *name = path + parent + (path[parent] == '/');
    char target[PATH_MAX];
    if (syscall(SYS_mkdirat, directory, name, mode) < 0 && errno != EEXIST)
        return -errno;
    int fd = in_root(root, path, O_PATH | O_DIRECTORY, 0, resolve);
    if (fd != -ENOENT)
        return fd;
    if (links == 0)
        return -ELOOP;
    int err = link_target(directory, path, parent, name, target);
    return err < 0 ? err : make_directories(root, target, mode, resolve, links - 1);
}

/* mkdir -p in the root. Returns an O_PATH descriptor of the directory. */
static int make_directories(int root, const char *path, mode_t mode, uint64_t resolve, int links)
{
    char prefix[PATH_MAX];
    size_t length = strlen(path), parent = 0;
    int directory = in_root(root, length ? path : "/", O_PATH | O_DIRECTORY, 0, resolve);
    if (directory != -ENOENT)
        return directory;
    if (length >= sizeof prefix)
        return -ENAMETOOLONG;
    memcpy(prefix, path, length + 1);
    if ((directory = in_root(root, "/", O_PATH | O_DIRECTORY, 0, resolve)) < 0)
        return directory;
    for (size_t at = 0; at < length;) {
        while (path[at] == '/')
            at++;
        if (at == length)
            break;
        while (at < length && path[at] != '/')
            at++;
        prefix[at] = 0;
        int next = in_root(root, prefix, O_PATH | O_DIRECTORY, 0, resolve);
        if (next == -ENOENT)
            next = make_directory(root, directory, prefix, parent, mode, resolve, links);
        prefix[at] = path[at];
        sys_close(directory);
        if (next < 0)
            return next;
        directory = next;
        while (path[at] == '/' && path[at + 1] == '/')
            at++;
        parent = at;
    }
    return directory;
}

/* The directory that holds the last component of `path`, made if need be; `*name` is that component. */
static int parent_directory(int root, const char *path, const char **name, uint64_t resolve)
{
    char parent[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;
    if (length >= sizeof parent)
        return -ENAMETOOLONG;
    memcpy(parent, path, length);
    parent[length] = 0;
    *name = slash ? slash + 1 : path;
    return make_directories(root, parent, 0755, resolve, LINKS);
}

static int make_file(int root, const char *path, uint64_t resolve, int links)
{
    int fd = in_root(root, path, O_PATH, 0, resolve);
    if (fd >= 0)
        return sys_close(fd);
    if (fd != -ENOENT)
        return fd;
    const char *name;
    int directory = parent_directory(root, path, &name, resolve);
    if (directory < 0)
        return directory;
    int err = result(syscall(SYS_mknodat, directory, name, S_IFREG | 0644, 0));
    if (err == -EEXIST && links > 0) {
        char target[PATH_MAX];
        err = link_target(directory, path, (size_t)(name - path) - (name > path), name, target);
        err = err < 0 ? err : make_file(root, target, resolve, links - 1);
    }
    sys_close(directory);
    return err;
}

/* --- mounts ----------------------------------------------------------------------------------------------------------
 * A mount is made in the hand (`tree`), dressed there, and attached when it is ready: nothing ever appears half-made. */

static int hold(struct state *st, int tree)
{
    if (tree < 0)
        return tree;
    if (st->tree >= 0)
        sys_close(st->tree);
    st->tree = tree;
    return 0;
}

static int op_tree(const struct sw_step *s, struct state *st)
{
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (unsigned)s->m;
    if (s->fd >= 0)
        return hold(st, result(syscall(SYS_open_tree, s->fd, "", flags | AT_EMPTY_PATH)));
    return hold(st, result(syscall(SYS_open_tree, AT_FDCWD, s->a, flags)));
}

/* `key=value`, or a flag, to fsconfig(2). */
static int configure(int fs, const char *option, size_t length)
{
    char key[NAME_MAX + 1], value[PATH_MAX];
    const char *equals = memchr(option, '=', length);
    size_t size = equals ? (size_t)(equals - option) : length;
    size_t rest = equals ? length - size - 1 : 0;
    if (size >= sizeof key || rest >= sizeof value)
        return -ENAMETOOLONG;
    memcpy(key, option, size);
    key[size] = 0;
    if (!equals)
        return result(syscall(SYS_fsconfig, fs, FSCONFIG_SET_FLAG, key, NULL, 0));
    memcpy(value, equals + 1, rest);
    value[rest] = 0;
    return result(syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, key, value, 0));
}

static int configure_all(int fs, const char *options)
{
    for (const char *at = options; *at;) {
        size_t length = strcspn(at, ",");
        int err = configure(fs, at, length);
        if (err < 0)
            return err;
        at += length + (at[length] == ',');
    }
    return 0;
}

/* The configured file system as a mount; the context is closed whatever happens. */
static int finish(int fs, int err, uint64_t attributes)
{
    if (err >= 0)
        err = result(syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
    if (err >= 0)
        err = result(syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, (unsigned)attributes));
    sys_close(fs);
    return err;
}

static int op_fsmount(const struct sw_step *s, struct state *st)
{
    int fs = result(syscall(SYS_fsopen, s->a, FSOPEN_CLOEXEC));
    if (fs < 0)
        return fs;
    int err = *s->b ? result(syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "source", s->b, 0)) : 0;
    for (const char *const *option = s->strings; err >= 0 && *option; option++)
        err = configure(fs, *option, strlen(*option));
    return hold(st, finish(fs, err, (uint64_t)s->m));
}

/* A directory as an fsconfig string, which may have 255 bytes: a longer one goes by way of a descriptor. The
 * descriptor is left open until exec, overlayfs resolves the name at once. */
static int short_name(const char *path, char name[64])
{
    static const char prefix[] = "/proc/self/fd/";
    int fd = result(syscall(SYS_openat, AT_FDCWD, path, O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (fd < 0)
        return fd;
    char digits[16];
    int count = 0, at = sizeof prefix - 1;
    for (int rest = fd; count == 0 || rest; rest /= 10)
        digits[count++] = (char)('0' + rest % 10);
    memcpy(name, prefix, sizeof prefix - 1);
    while (count)
        name[at++] = digits[--count];
    name[at] = 0;
    return at;
}

static int configure_directory(int fs, const char *key, const char *path)
{
    char name[64];
    if (strlen(path) > 255) {
        int err = short_name(path, name);
        if (err < 0)
            return err;
        path = name;
    }
    return result(syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, key, path, 0));
}

/* mount(2) with all layers in one string, for kernels without `lowerdir+` (before 6.7): where the root will be, since it
 * must be somewhere, and at once taken into the hand from there. */
static int classic_overlay(const struct sw_step *s, struct state *st)
{
    char options[4096], name[64];
    size_t at = 0;
    const char *keys[] = {",upperdir=", ",workdir="}, *paths[] = {s->a, s->b};
#define APPEND(text, length)                              \
    do {                                                  \
        size_t more_ = (length);                          \
        if (at + more_ >= sizeof options)                 \
            return -E2BIG;                                \
        memcpy(options + at, (text), more_);              \
        at += more_;                                      \
    } while (0)
    APPEND("lowerdir=", 9);
    for (const char *const *lower = s->strings; *lower; lower++) {
        int length = short_name(*lower, name);
        if (length < 0)
            return length;
        if (lower != s->strings)
            APPEND(":", 1);
        APPEND(name, (size_t)length);
    }
    for (int i = 0; i < 2; i++)
        if (*paths[i]) {
            int length = short_name(paths[i], name);
            if (length < 0)
                return length;
            APPEND(keys[i], strlen(keys[i]));
            APPEND(name, (size_t)length);
        }
    if (*s->d) {
        APPEND(",", 1);
        APPEND(s->d, strlen(s->d));
    }
#undef APPEND
    options[at] = 0;
    int err = result(syscall(SYS_mount, "overlay", s->c, "overlay", 0L, options));
    if (err < 0)
        return err;
    err = hold(st, result(syscall(SYS_open_tree, AT_FDCWD, s->c, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
    int unmounted = result(syscall(SYS_umount2, s->c, SW_MNT_DETACH));
    return err < 0 ? err : unmounted;
}

static int op_overlay(const struct sw_step *s, struct state *st)
{
    int fs = result(syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC));
    if (fs < 0)
        return fs;
    int err = result(syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "source", "overlay", 0));
    for (const char *const *lower = s->strings; err >= 0 && *lower; lower++)
        err = configure_directory(fs, "lowerdir+", *lower);
    if (err >= 0 && *s->a)
        err = configure_directory(fs, "upperdir", s->a);
    if (err >= 0 && *s->b)
        err = configure_directory(fs, "workdir", s->b);
    if (err >= 0)
        err = configure_all(fs, s->d);
    int tree = finish(fs, err, (uint64_t)s->m);
    /* From 6.5 on the unknown key is refused, before that it is kept as it is and the whole is refused at last. */
    return tree == -EINVAL ? classic_overlay(s, st) : hold(st, tree);
}

static int op_attributes(const struct sw_step *s, struct state *st)
{
    struct mount_attr attributes = {.attr_set = (uint64_t)s->m, .attr_clr = (uint64_t)s->n};
    unsigned flags = AT_EMPTY_PATH | (*s->a ? SW_AT_RECURSIVE : 0);
    return result(syscall(SYS_mount_setattr, st->tree, "", flags, &attributes, sizeof attributes));
}

static int op_spread(const struct sw_step *s, struct state *st)
{
    struct mount_attr attributes = {.propagation = (uint64_t)s->m};
    unsigned flags = AT_EMPTY_PATH | (*s->a ? SW_AT_RECURSIVE : 0);
    return result(syscall(SYS_mount_setattr, st->tree, "", flags, &attributes, sizeof attributes));
}

static int op_idmap(const struct sw_step *s, struct state *st)
{
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)s->fd};
    unsigned flags = AT_EMPTY_PATH | (*s->b ? SW_AT_RECURSIVE : 0);
    return result(syscall(SYS_mount_setattr, st->tree, "", flags, &attributes, sizeof attributes));
}

static int move_to(int tree, int target)
{
    unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    return result(syscall(SYS_move_mount, tree, "", target, "", flags));
}

static int attach_to(struct state *st, int target)
{
    if (target < 0)
        return target;
    int err = move_to(st->tree, target);
    sys_close(target);
    sys_close(st->tree);
    st->tree = NOTHING;
    return err;
}

static int op_attach(const struct sw_step *s, struct state *st)
{
    return attach_to(st, in_root(st->root, s->a, O_PATH, 0, (uint64_t)s->m));
}

static int op_point(const struct sw_step *s, struct state *st)
{
    struct statx what;
    if (syscall(SYS_statx, st->tree, "", AT_EMPTY_PATH, STATX_TYPE, &what) < 0)
        return -errno;
    if ((what.stx_mode & S_IFMT) != S_IFDIR)
        return make_file(st->root, s->a, (uint64_t)s->m, LINKS);
    int fd = make_directories(st->root, s->a, 0755, (uint64_t)s->m, LINKS);
    return fd < 0 ? fd : sys_close(fd);
}

static int op_root(const struct sw_step *s, struct state *st)
{
    if (st->tree >= 0) {
        int where = result(syscall(SYS_openat, AT_FDCWD, s->a, O_PATH | O_DIRECTORY | O_CLOEXEC));
        int err = attach_to(st, where);
        if (err < 0)
            return err;
    }
    return (st->root = result(syscall(SYS_openat, AT_FDCWD, s->a, O_PATH | O_DIRECTORY | O_CLOEXEC)));
}

/* Make private the mount that `a` lies in: the first directory upwards that is a mount's root. */
static int op_isolate(const struct sw_step *s, struct state *st)
{
    char path[PATH_MAX];
    size_t length = strlen(s->a);
    (void)st;
    if (length >= sizeof path)
        return -ENAMETOOLONG;
    memcpy(path, s->a, length + 1);
    for (;;) {
        int err = result(syscall(SYS_mount, NULL, length ? path : "/", NULL, 1UL << 18 /* MS_PRIVATE */, NULL));
        if (err != -EINVAL || length == 0)
            return err;
        while (length && path[length - 1] != '/')
            length--;
        length -= length > 0;
        path[length] = 0;
    }
}

static int op_propagation(const struct sw_step *s, struct state *st)
{
    (void)st;
    return result(syscall(SYS_mount, NULL, s->a, NULL, (unsigned long)s->m, NULL));
}

/* A path that is to be hidden or protected, if it is there. No symbolic link on the way is believed. */
static int existing(const struct state *st, const char *path)
{
    return in_root(st->root, path, O_PATH, 0, RESOLVE_NO_SYMLINKS);
}

static int op_remount(const struct sw_step *s, struct state *st)
{
    struct mount_attr attributes = {.attr_set = (uint64_t)s->m, .attr_clr = (uint64_t)s->n};
    unsigned flags = AT_EMPTY_PATH | (*s->b ? SW_AT_RECURSIVE : 0);
    int fd = existing(st, s->a);
    if (fd < 0)
        return fd;
    int err = result(syscall(SYS_mount_setattr, fd, "", flags, &attributes, sizeof attributes));
    sys_close(fd);
    return err;
}

static int absent(int err)
{
    return err == -ENOENT || err == -ENOTDIR;
}

/* What hides a file is the host's /dev/null, which is still / here: the container's own may be anything
 * (CVE-2025-31133). */
static int op_mask(const struct sw_step *s, struct state *st)
{
    struct statx what;
    int target = existing(st, s->a);
    if (target < 0)
        return absent(target) ? 0 : target;
    int err = result(syscall(SYS_statx, target, "", AT_EMPTY_PATH, STATX_TYPE, &what)), cover;
    if (err >= 0 && (what.stx_mode & S_IFMT) == S_IFDIR) {
        int fs = result(syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC));
        cover = fs < 0 ? fs : finish(fs, 0, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    } else {
        cover = result(syscall(SYS_open_tree, AT_FDCWD, "/dev/null", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
    }
    if (err >= 0 && cover >= 0)
        err = move_to(cover, target);
    if (cover >= 0)
        sys_close(cover);
    sys_close(target);
    return cover < 0 ? cover : err;
}

static int op_readonly(const struct sw_step *s, struct state *st)
{
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
    unsigned recursive = SW_AT_RECURSIVE | AT_EMPTY_PATH;
    int target = existing(st, s->a);
    if (target < 0)
        return absent(target) ? 0 : target;
    int copy = result(syscall(SYS_open_tree, target, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | recursive));
    int err = copy;
    if (err >= 0)
        err = result(syscall(SYS_mount_setattr, copy, "", recursive, &attributes, sizeof attributes));
    if (err >= 0)
        err = move_to(copy, target);
    if (copy >= 0)
        sys_close(copy);
    sys_close(target);
    return err;
}

/* Both roots in one place, the old one on top: pivot_root(2), "pivot_root(".", ".")". */
static int op_pivot(const struct sw_step *s, struct state *st)
{
    (void)s;
    if (syscall(SYS_fchdir, st->root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
        syscall(SYS_umount2, ".", SW_MNT_DETACH) < 0 || syscall(SYS_chdir, "/") < 0)
        return -errno;
    return 0;
}

/* For a root that can't be pivoted from (an initramfs): cover it, and look no further up. */
static int op_chroot(const struct sw_step *s, struct state *st)
{
    (void)s;
    int top = result(syscall(SYS_openat, AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (top < 0)
        return top;
    if (syscall(SYS_fchdir, st->root) < 0 ||
        syscall(SYS_move_mount, st->root, "", top, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0 ||
        syscall(SYS_chroot, ".") < 0 || syscall(SYS_chdir, "/") < 0)
        return -errno;
    return sys_close(top);
}

/* --- files in the root ----------------------------------------------------------------------------------------------- */

static int op_mkdir(const struct sw_step *s, struct state *st)
{
    int fd = make_directories(st->root, s->a, (mode_t)s->m, (uint64_t)s->n, LINKS);
    return fd < 0 ? fd : sys_close(fd);
}

static int op_touch(const struct sw_step *s, struct state *st)
{
    return make_file(st->root, s->a, (uint64_t)s->n, LINKS);
}

/* A path below /dev is the runtime's own: no link in an image leads it elsewhere (CVE-2026-41579). */
static int op_symlink(const struct sw_step *s, struct state *st)
{
    const char *name;
    int directory = parent_directory(st->root, s->b, &name, RESOLVE_NO_SYMLINKS);
    if (directory < 0)
        return directory;
    int err = result(syscall(SYS_symlinkat, s->a, directory, name));
    sys_close(directory);
    return err == -EEXIST ? 0 : err;
}

static int op_node(const struct sw_step *s, struct state *st)
{
    const char *name;
    struct statx found;
    int directory = parent_directory(st->root, s->a, &name, RESOLVE_NO_SYMLINKS);
    if (directory < 0)
        return directory;
    int err = result(syscall(SYS_mknodat, directory, name, (mode_t)s->m, (unsigned)s->n));
    if (err == -EEXIST &&
        syscall(SYS_statx, directory, name, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &found) == 0 &&
        ((found.stx_mode ^ (unsigned)s->m) & S_IFMT) == 0 &&
        ((found.stx_rdev_major == (((unsigned)s->n >> 8) & 0xfff) &&
          found.stx_rdev_minor == (((unsigned)s->n & 0xff) | (((unsigned)s->n >> 12) & 0xfff00)))))
        err = 0;
    sys_close(directory);
    return err;
}

static int op_own(const struct sw_step *s, struct state *st)
{
    int fd = existing(st, s->a);
    if (fd < 0)
        return fd;
    int err = result(syscall(SYS_fchownat, fd, "", (unsigned)s->m, (unsigned)s->n, AT_EMPTY_PATH));
    sys_close(fd);
    return err;
}

/* The host's own paths, before pivot: /proc/sys, /proc/self. */
static int op_write(const struct sw_step *s, struct state *st)
{
    (void)st;
    int fd = result(syscall(SYS_openat, AT_FDCWD, s->a, O_WRONLY | O_CLOEXEC));
    if (fd < 0)
        return fd;
    int err = result(syscall(SYS_write, fd, s->data, s->size));
    sys_close(fd);
    return err;
}

/* --- the terminal ---------------------------------------------------------------------------------------------------- */

/* Made in the container's own devpts; the slave comes from its master (TIOCGPTPEER), so that nothing in the rootfs has
 * a say in which file becomes /dev/console (CVE-2025-52565). */
static int op_console(const struct sw_step *s, struct state *st)
{
    struct winsize size = {.ws_col = (unsigned short)s->m, .ws_row = (unsigned short)s->n};
    int unlock = 0;
    int master = in_root(st->root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY, 0, RESOLVE_NO_SYMLINKS);
    if (master < 0)
        return master;
    if (syscall(SYS_ioctl, master, TIOCSPTLCK, &unlock) < 0)
        return -errno;
    int slave = result(syscall(SYS_ioctl, master, TIOCGPTPEER, (long)(O_RDWR | O_NOCTTY | O_CLOEXEC)));
    if (slave < 0)
        return slave;
    if ((s->m || s->n) && syscall(SYS_ioctl, master, TIOCSWINSZ, &size) < 0)
        return -errno;
    if (syscall(SYS_fchown, slave, (unsigned)s->size, -1) < 0)
        return -errno;
    int err = say(st, CONSOLE, 0, 0, master);
    sys_close(master);
    for (int fd = 0; err >= 0 && fd < 3; fd++)
        err = result(syscall(SYS_dup3, slave, fd, 0));
    if (err >= 0)
        err = result(syscall(SYS_ioctl, 0, TIOCSCTTY, 0L));
    if (err >= 0 && *s->a) {
        err = hold(st, result(syscall(SYS_open_tree, slave, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH)));
        if (err >= 0)
            err = make_file(st->root, s->a, RESOLVE_NO_SYMLINKS, 0);
        if (err >= 0)
            err = attach_to(st, existing(st, s->a));
    }
    sys_close(slave);
    return err;
}

/* --- namespaces and groups ------------------------------------------------------------------------------------------- */

static int op_join(const struct sw_step *s, struct state *st)
{
    (void)st;
    return result(syscall(SYS_setns, s->fd, (int)s->m));
}

static int op_unshare(const struct sw_step *s, struct state *st)
{
    (void)st;
    return result(syscall(SYS_unshare, (unsigned long)s->m));
}

/* `0` in `tasks`, written by the thread itself: the only way into a v1 group that needs no lock over all of the
 * machine's processes, nor the RCU grace period that comes with it. */
static int op_enter(const struct sw_step *s, struct state *st)
{
    (void)st;
    int err = result(syscall(SYS_write, s->fd, "0", 1L));
    return err < 0 ? err : 0;
}

static int op_sethostname(const struct sw_step *s, struct state *st)
{
    (void)st;
    return result(syscall(SYS_sethostname, s->a, strlen(s->a)));
}

static int op_setdomainname(const struct sw_step *s, struct state *st)
{
    (void)st;
    return result(syscall(SYS_setdomainname, s->a, strlen(s->a)));
}

static int sys_clone(uint64_t flags, int *pidfd, int cgroup, int exit_signal)
{
    struct clone_args arguments = {
        .flags = flags | CLONE_PIDFD,
        .pidfd = (uint64_t)(uintptr_t)pidfd,
        .exit_signal = (uint64_t)exit_signal,
    };
    if (cgroup >= 0) {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = (uint64_t)cgroup;
    }
    return result(syscall(SYS_clone3, &arguments, sizeof arguments));
}

/* setns into a pid namespace counts for children only. The child becomes a sibling (CLONE_PARENT), so that it is the
 * launching process that holds and reaps it. */
static int op_fork(const struct sw_step *s, struct state *st)
{
    int pidfd = NOTHING;
    int pid = sys_clone((uint64_t)s->m | CLONE_PARENT, &pidfd, s->fd, 0);
    if (pid < 0)
        return pid;
    if (pid == 0)
        return wait_for_go(st);
    syscall(SYS_exit_group, say(st, CHILD, 0, 0, pidfd) < 0 ? 1 : 0);
    return 0;
}

/* --- identity -------------------------------------------------------------------------------------------------------- */

static int op_setgroups(const struct sw_step *s, struct state *st)
{
    (void)st;
    return result(syscall(SYS_setgroups, s->size / sizeof(gid_t), s->data));
}

static int op_setgid(const struct sw_step *s, struct state *st)
{
    (void)st;
    return result(syscall(SYS_setresgid, (gid_t)s->m, (gid_t)s->m, (gid_t)s->m));
}

static int op_setuid(const struct sw_step *s, struct state *st)
{
    (void)st;
    return result(syscall(SYS_setresuid, (uid_t)s->m, (uid_t)s->m, (uid_t)s->m));
}

static int op_keepcaps(const struct sw_step *s, struct state *st)
{
    (void)st;
    return result(syscall(SYS_prctl, PR_SET_KEEPCAPS, s->m, 0L, 0L, 0L));
}

/* Everything outside the mask leaves the bounding set; EINVAL is the first number this kernel doesn't know. */
static int op_bounding(const struct sw_step *s, struct state *st)
{
    (void)st;
    for (long cap = 0; cap < 64; cap++) {
        if ((uint64_t)s->m >> cap & 1)
            continue;
        if (syscall(SYS_prctl, PR_CAPBSET_DROP, cap, 0L, 0L, 0L) < 0)
            return errno == EINVAL ? 0 : -errno;
    }
    return 0;
}

/* `data` is three 64-bit sets: effective, permitted, inheritable. What this process doesn't have it can't give; a host
 * that itself is confined gives what it has, as every runtime does. */
static int op_capset(const struct sw_step *s, struct state *st)
{
    (void)st;
    uint64_t sets[3];
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct halves[2];
    if (s->size != sizeof sets)
        return -EINVAL;
    memcpy(sets, s->data, sizeof sets);
    if (syscall(SYS_capget, &header, halves) < 0)
        return -errno;
    for (int i = 0; i < 2; i++) {
        uint32_t had = halves[i].permitted;
        halves[i].effective = (uint32_t)(sets[0] >> 32 * i) & had;
        halves[i].permitted = (uint32_t)(sets[1] >> 32 * i) & had;
        halves[i].inheritable = (uint32_t)(sets[2] >> 32 * i) & had;
    }
    return result(syscall(SYS_capset, &header, halves));
}

static int op_ambient(const struct sw_step *s, struct state *st)
{
    (void)st;
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct halves[2];
    if (syscall(SYS_capget, &header, halves) < 0 ||
        syscall(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0L, 0L, 0L) < 0)
        return -errno;
    uint64_t had = halves[0].permitted | (uint64_t)halves[1].permitted << 32;
    for (long cap = 0; cap < 64; cap++)
        if (((uint64_t)s->m & had) >> cap & 1 && syscall(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0L, 0L) < 0)
            return -errno;
    return 0;
}

static int op_no_new_privileges(const struct sw_step *s, struct state *st)
{
    (void)s, (void)st;
    return result(syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L));
}

static int op_seccomp(const struct sw_step *s, struct state *st)
{
    (void)st;
    struct {
        unsigned short count;
        const void *filter;
    } program = {(unsigned short)(s->size / 8), s->data}; /* struct sock_fprog, seccomp(2) */
    return result(syscall(SYS_seccomp, 1 /* SECCOMP_SET_MODE_FILTER */, (unsigned)s->m, &program));
}

/* --- the process ----------------------------------------------------------------------------------------------------- */

static int op_dumpable(const struct sw_step *s, struct state *st)
{
    (void)st;
    return result(syscall(SYS_prctl, PR_SET_DUMPABLE, s->m, 0L, 0L, 0L));
}

static int op_setsid(const struct sw_step *s, struct state *st)
{
    (void)s, (void)st;
    int id = result(syscall(SYS_setsid));
    return id == -EPERM ? 0 : id; /* already a leader */
}

static int op_umask(const struct sw_step *s, struct state *st)
{
    (void)st;
    return result(syscall(SYS_umask, (mode_t)s->m));
}

static int op_rlimit(const struct sw_step *s, struct state *st)
{
    (void)st;
    return s->size == 16 ? result(syscall(SYS_prlimit64, 0, (int)s->m, s->data, NULL)) : -EINVAL;
}

static int op_personality(const struct sw_step *s, struct state *st)
{
    (void)st;
    return result(syscall(SYS_personality, (unsigned long)s->m));
}

static int op_ioprio(const struct sw_step *s, struct state *st)
{
    (void)st;
    return result(syscall(SYS_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, 0, (int)s->m));
}

static int op_scheduler(const struct sw_step *s, struct state *st)
{
    (void)st;
    return result(syscall(SYS_sched_setattr, 0, s->data, 0));
}

static int op_affinity(const struct sw_step *s, struct state *st)
{
    (void)st;
    return result(syscall(SYS_sched_setaffinity, 0, s->size, s->data));
}

/* A kernel without keyrings has none to leak. */
static int op_keyring(const struct sw_step *s, struct state *st)
{
    (void)st;
    int err = result(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, s->a));
    return err == -ENOSYS ? 0 : err;
}

/* Through openat2, so that no /proc/self/fd/N leads out of the root again (CVE-2024-21626). */
static int op_chdir(const struct sw_step *s, struct state *st)
{
    (void)st;
    int fd = in_root(AT_FDCWD, s->a, O_PATH | O_DIRECTORY, 0, 0);
    if (fd < 0)
        return fd;
    int err = result(syscall(SYS_fchdir, fd));
    sys_close(fd);
    return err;
}

static int op_cloexec(const struct sw_step *s, struct state *st)
{
    (void)st;
    return result(syscall(SYS_close_range, (unsigned)s->m, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */));
}

static int op_sync(const struct sw_step *s, struct state *st)
{
    int err = say(st, SYNC, 0, (int)s->m, NOTHING);
    return err < 0 ? err : wait_for_go(st);
}

static int op_gate(const struct sw_step *s, struct state *st)
{
    (void)s;
    int err = say(st, READY, 0, 0, NOTHING);
    return err < 0 ? err : wait_for_go(st);
}

/* The other gate: a FIFO, for a launching process that doesn't stay. Opening blocks until somebody reads. `fd` is the
 * directory it is in. */
static int op_fifo(const struct sw_step *s, struct state *st)
{
    int err = say(st, READY, 0, 0, NOTHING);
    if (err < 0)
        return err;
    sys_close(st->channel);
    st->channel = NOTHING;
    int fd = result(syscall(SYS_openat, s->fd, strrchr(s->a, '/') + 1, O_WRONLY | O_CLOEXEC));
    if (fd < 0)
        return fd;
    err = result(syscall(SYS_write, fd, "0", 1L));
    return err < 0 ? err : 0;
}

/* Whether it could be executed: asked before the gate, for a launching process that won't be there to hear. */
static int op_executable(const struct sw_step *s, struct state *st)
{
    char path[PATH_MAX];
    size_t size = strlen(s->a);
    int found = -ENOENT;
    (void)st;
    if (strchr(s->a, '/'))
        return result(syscall(SYS_faccessat2, AT_FDCWD, s->a, X_OK, AT_EACCESS));
    for (const char *at = s->b; *at;) {
        size_t length = strcspn(at, ":");
        if (length + size + 2 <= sizeof path) {
            memcpy(path, at, length);
            path[length] = '/';
            memcpy(path + length + 1, s->a, size + 1);
            int err = result(syscall(SYS_faccessat2, AT_FDCWD, path, X_OK, AT_EACCESS));
            if (err == 0)
                return 0;
            if (err != -ENOENT && err != -ENOTDIR)
                found = err;
        }
        at += length + (at[length] == ':');
    }
    return found;
}

/* execve, or execvpe where the name has no slash: the first that can be executed; EACCES beats ENOENT. */
static int op_exec(const struct sw_step *s, struct state *st)
{
    char path[PATH_MAX];
    size_t size = strlen(s->a);
    int found = -ENOENT;
    (void)st;
    if (strchr(s->a, '/'))
        return result(syscall(SYS_execve, s->a, s->strings, s->environment));
    for (const char *at = s->b; *at;) {
        size_t length = strcspn(at, ":");
        if (length + size + 2 <= sizeof path) {
            memcpy(path, at, length);
            path[length] = '/';
            memcpy(path + length + 1, s->a, size + 1);
            int err = result(syscall(SYS_execve, path, s->strings, s->environment));
            if (err == -EACCES)
                found = err;
            else if (err != -ENOENT && err != -ENOTDIR)
                return err;
        }
        at += length + (at[length] == ':');
    }
    return found;
}

/* --- the run --------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int (*run)(const struct sw_step *, struct state *);
} ops[] = {
    {"affinity", op_affinity},
    {"ambient", op_ambient},
    {"attach", op_attach},
    {"attributes", op_attributes},
    {"bounding", op_bounding},
    {"capset", op_capset},
    {"chdir", op_chdir},
    {"chroot", op_chroot},
    {"cloexec", op_cloexec},
    {"console", op_console},
    {"dumpable", op_dumpable},
    {"enter", op_enter},
    {"exec", op_exec},
    {"executable", op_executable},
    {"fifo", op_fifo},
    {"fork", op_fork},
    {"fsmount", op_fsmount},
    {"gate", op_gate},
    {"idmap", op_idmap},
    {"ioprio", op_ioprio},
    {"isolate", op_isolate},
    {"join", op_join},
    {"keepcaps", op_keepcaps},
    {"keyring", op_keyring},
    {"mask", op_mask},
    {"mkdir", op_mkdir},
    {"no_new_privileges", op_no_new_privileges},
    {"node", op_node},
    {"overlay", op_overlay},
    {"own", op_own},
    {"personality", op_personality},
    {"pivot", op_pivot},
    {"point", op_point},
    {"propagation", op_propagation},
    {"readonly", op_readonly},
    {"remount", op_remount},
    {"rlimit", op_rlimit},
    {"root", op_root},
    {"scheduler", op_scheduler},
    {"seccomp", op_seccomp},
    {"setdomainname", op_setdomainname},
    {"setgid", op_setgid},
    {"setgroups", op_setgroups},
    {"sethostname", op_sethostname},
    {"setsid", op_setsid},
    {"setuid", op_setuid},
    {"spread", op_spread},
    {"symlink", op_symlink},
    {"sync", op_sync},
    {"touch", op_touch},
    {"tree", op_tree},
    {"umask", op_umask},
    {"unshare", op_unshare},
    {"write", op_write},
};

enum { OPS = sizeof ops / sizeof ops[0] };

const char *sw_op_name(int op)
{
    return op >= 0 && op < OPS ? ops[op].name : NULL;
}

/* struct sigaction as the kernel has it; all zero is SIG_DFL, no flags, an empty mask. */
struct kernel_action {
    void *handler;
    unsigned long flags;
    void *restorer;
    uint64_t mask;
};

static void default_signals(void)
{
    struct kernel_action defaults = {0};
    uint64_t none = 0;
    for (int number = 1; number <= 64; number++)
        syscall(SYS_rt_sigaction, number, &defaults, NULL, sizeof none);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof none);
}

/* 0, 1 and 2 may stand among the three in another order: lift them out of the way first. */
static int place_stdio(const int stdio[3])
{
    int lifted[3];
    for (int i = 0; i < 3; i++) {
        lifted[i] = stdio[i] < 0 ? NOTHING : result(syscall(SYS_fcntl, stdio[i], F_DUPFD_CLOEXEC, 3L));
        if (stdio[i] >= 0 && lifted[i] < 0)
            return lifted[i];
    }
    for (int i = 0; i < 3; i++)
        if (lifted[i] >= 0 && syscall(SYS_dup3, lifted[i], i, 0) < 0)
            return -errno;
    return 0;
}

static int run(const struct sw_child *child, struct state *st)
{
    int err = place_stdio(child->stdio);
    if (err < 0)
        return err;
    if ((err = wait_for_go(st)) < 0)
        return err;
    syscall(SYS_umask, 0);
    for (st->step = 0; st->step < child->count; st->step++) {
        const struct sw_step *step = &child->steps[st->step];
        if ((err = ops[step->op].run(step, st)) < 0)
            return err;
    }
    return -ENOEXEC;
}

int sw_launch(const struct sw_child *child, int *pidfd)
{
    struct state st = {.root = NOTHING, .tree = NOTHING, .channel = child->channel, .step = -1};
    uint64_t all = ~0ULL, before;
    for (int i = 0; i < child->count; i++)
        if (child->steps[i].op < 0 || child->steps[i].op >= OPS)
            return -EINVAL;
    /* No handler of the parent may run in the child. */
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof all);
    int pid = sys_clone(child->clone_flags, pidfd, child->cgroup, SIGCHLD);
    if (pid != 0) {
        syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof before);
        return pid;
    }
    default_signals();
    int err = run(child, &st);
    say(&st, FAILED, -err, 0, NOTHING);
    syscall(SYS_exit_group, 127);
    __builtin_unreachable();
}
