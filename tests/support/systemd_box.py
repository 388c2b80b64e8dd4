#!/usr/bin/env python3
"""Boot several "hosts", each a real systemd as PID 1, on one Linux machine.

A host ("box") is a set of namespaces (mount, pid, uts, ipc, net, cgroup) around
a Debian root made once with debootstrap and shared read-only below an overlay.
All boxes of a fleet hang on one bridge that lives in a network namespace of its
own, so nothing touches the machine's network.  The machine's PID 1 need not be
systemd; its cgroups may be v1, hybrid or v2.  Needs root, debootstrap (once),
iproute2, nsenter.  Standard library only.

  box.py build                          make the cached root (about 2 minutes)
  box.py up [-n 3] [--fleet f] [--bind SRC:DST[:ro]]... [--hierarchy H]
  box.py exec HOST -- CMD...            run a command in a box
  box.py net -- CMD...                  run a command in the bridge's namespace
  box.py ctl OP HOST                    OP: crash (kill -9 all), boot, poweroff,
                                        reboot, unplug, plug
  box.py status | down | selftest

A fleet belongs to one "keeper" process.  If the keeper dies, the kernel kills
every box (PDEATHSIG on each box's PID 1, whose death ends its pid namespace)
and the network goes with the last process; `down` removes what files and
cgroup directories may be left.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import errno
import fcntl
import json
import os
import pty
import resource
import select
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import termios
import time
import traceback
import uuid

HOME = os.environ.get("BOX_HOME", "/var/tmp/seaway-box")
CACHE = os.path.join(HOME, "cache")
RUN = os.path.join(HOME, "run")
SUITE = os.environ.get("BOX_SUITE", "bookworm")
MIRROR = os.environ.get("BOX_MIRROR")  # none: debootstrap's own default
ROOT = os.environ.get("BOX_ROOT", os.path.join(CACHE, "root"))
PACKAGES = ["systemd", "systemd-sysv", "dbus", "iproute2", "nftables", "python3", "python3-venv", "busybox-static"]
CG_TOP = "seaway-box"
SUBNET = "10.77.0"

# ---------------------------------------------------------------- system calls
libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS = 0x20000, 0x2000000, 0x4000000
CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWNET = 0x8000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE, MS_SHARED = 32, 4096, 16384, 1 << 18, 1 << 20
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_CAPBSET_DROP = 1, 24
SYS_clone, SYS_pivot_root = 56, 155  # x86_64
if os.uname().machine == "aarch64":
    SYS_clone, SYS_pivot_root = 220, 41
DROPPED = (16, 17, 25)  # CAP_SYS_MODULE, CAP_SYS_RAWIO, CAP_SYS_TIME


def _check(result, *what):
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), *what)
    return result


def mount(source, target, fstype=None, flags=0, data=None):
    def enc(text):
        return None if text is None else os.fsencode(text)

    _check(
        libc.mount(enc(source), enc(target), enc(fstype), ctypes.c_ulong(flags), enc(data)),
        f"mount {fstype} {source} {target} {data}",
    )


def unshare(flags):
    _check(libc.unshare(flags), "unshare")


def bind(source, target, readonly=False, recursive=True):
    mount(source, target, None, MS_BIND | (MS_REC if recursive else 0))
    if readonly:
        mount(None, target, None, MS_BIND | MS_REMOUNT | MS_RDONLY)


def write(path, text):
    with open(path, "w") as handle:
        handle.write(text)


def read(path):
    with open(path) as handle:
        return handle.read()


# ---------------------------------------------------------------- cgroups
def hierarchies():
    """[(fstype, controllers, mountpoint)] of the machine; fstype cgroup|cgroup2."""
    found, seen = [], set()
    for line in read("/proc/self/mountinfo").splitlines():
        left, right = line.split(" - ")
        mountpoint = left.split()[4]
        fstype, _, options = right.split()[:3]
        if fstype not in ("cgroup", "cgroup2") or not mountpoint.startswith("/sys/fs/cgroup"):
            continue
        if fstype == "cgroup2":
            names = ()
        else:
            plain = ("rw", "ro", "xattr", "clone_children", "noprefix", "cpuset_v2_mode")
            names = tuple(o for o in options.split(",") if o not in plain and not o.startswith("release_agent"))
        if (fstype, names) not in seen:
            seen.add((fstype, names))
            found.append((fstype, names, mountpoint))
    return found


def make_cgroup(relative):
    """Make one delegated group per hierarchy; return their directories."""
    made = []
    for fstype, names, top in hierarchies():
        path = top
        for part in relative.split("/"):
            if fstype == "cgroup2":
                with contextlib.suppress(OSError):
                    have = read(path + "/cgroup.controllers").split()
                    for controller in have:
                        with contextlib.suppress(OSError):
                            write(path + "/cgroup.subtree_control", "+" + controller)
            parent, path = path, os.path.join(path, part)
            for _ in range(50):  # another fleet that ends may remove the empty parent
                os.makedirs(parent, exist_ok=True)
                with contextlib.suppress(FileNotFoundError):
                    os.makedirs(path, exist_ok=True)
                    break
            if "cpuset" in names:
                for key in ("cpuset.cpus", "cpuset.mems"):
                    if not read(f"{path}/{key}").strip():
                        write(f"{path}/{key}", read(f"{parent}/{key}").strip())
        made.append(path)
    return made


def remove_cgroup(relative, patience=3.0):
    """Kill what is left below the group and remove it in every hierarchy."""
    deadline = time.monotonic() + patience
    left = []
    for _, _, top in hierarchies():
        base = os.path.join(top, relative)
        while os.path.isdir(base):
            for path, _, _ in os.walk(base, topdown=False):
                with contextlib.suppress(OSError):
                    for pid in read(path + "/cgroup.procs").split():
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(int(pid), signal.SIGKILL)
                with contextlib.suppress(OSError):
                    os.rmdir(path)
            if os.path.isdir(base):
                if time.monotonic() > deadline:
                    left.append(base)
                    break
                time.sleep(0.02)
    return left


def limit_cgroup(directories, memory, pids):
    for path in directories:
        for key, value in (("memory.limit_in_bytes", memory), ("memory.max", memory), ("pids.max", pids)):
            if os.path.exists(f"{path}/{key}"):
                with contextlib.suppress(OSError):
                    write(f"{path}/{key}", str(value))
        if os.path.exists(f"{path}/devices.deny"):
            # no block devices of the machine; any node may be made, few opened
            write(f"{path}/devices.deny", "a")
            for rule in (
                "c *:* m",
                "b *:* m",
                "c 1:3 rwm",
                "c 1:5 rwm",
                "c 1:7 rwm",
                "c 1:8 rwm",
                "c 1:9 rwm",
                "c 5:0 rwm",
                "c 5:1 rwm",
                "c 5:2 rwm",
                "c 136:* rwm",
                "c 10:200 rwm",
                "c 10:229 rwm",
            ):
                write(f"{path}/devices.allow", rule)


# ---------------------------------------------------------------- the root
MASKED = [
    "systemd-sysctl.service",
    "systemd-modules-load.service",
    "systemd-binfmt.service",
    "systemd-remount-fs.service",
    "systemd-udevd.service",
    "console-getty.service",
    "getty@.service",
    "getty-static.service",
    "getty.target",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "systemd-update-utmp.service",
    "systemd-update-utmp-runlevel.service",
    "systemd-journal-flush.service",
    "systemd-timesyncd.service",
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "sys-kernel-config.mount",
    "sys-fs-fuse-connections.mount",
    "systemd-hwdb-update.service",
    "proc-sys-fs-binfmt_misc.automount",
]


def build(root=ROOT, force=False):
    """debootstrap once; finished roots carry the marker file /.seaway-box."""
    marker = os.path.join(root, ".seaway-box")
    if os.path.exists(marker) and not force:
        return root
    os.makedirs(os.path.dirname(root), exist_ok=True)
    with open(root + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(marker) and not force:
            return root
        if not os.path.exists(os.path.join(root, "usr/lib/systemd/systemd")) or force:
            shutil.rmtree(root, ignore_errors=True)
            scratch = root + ".new"
            shutil.rmtree(scratch, ignore_errors=True)
            subprocess.run(
                [
                    "nice",
                    "-n",
                    "19",
                    "debootstrap",
                    "--variant=minbase",
                    "--include=" + ",".join(PACKAGES),
                    SUITE,
                    scratch,
                    *filter(None, [MIRROR]),
                ],
                check=True,
                stdout=subprocess.DEVNULL,
            )
            os.rename(scratch, root)
        for unit in MASKED:
            link = os.path.join(root, "etc/systemd/system", unit)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(link)
            os.symlink("/dev/null", link)
        for path, text in {
            "etc/systemd/journald.conf.d/box.conf": "[Journal]\nStorage=volatile\n"
            "RuntimeMaxUse=32M\nReadKMsg=no\nForwardToConsole=no\n"
            "RateLimitIntervalSec=0\n",
            "etc/systemd/system.conf.d/box.conf": "[Manager]\nDefaultTimeoutStopSec=10s\nDefaultTimeoutStartSec=30s\n"
            "DefaultStartLimitIntervalSec=0\n",
        }.items():
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            write(os.path.join(root, path), text)
        default = os.path.join(root, "etc/systemd/system/default.target")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(default)
        os.symlink("/lib/systemd/system/multi-user.target", default)
        for junk in ("var/cache/apt/archives", "var/lib/apt/lists"):
            shutil.rmtree(os.path.join(root, junk), ignore_errors=True)
            os.makedirs(os.path.join(root, junk))
        write(marker, SUITE + "\n")
    return root


# ---------------------------------------------------------------- inside a box
def _mount_cgroups(root, hierarchy, host):
    """cgroupfs for the box; its cgroup namespace is already the box's own group."""
    base = root + "/sys/fs/cgroup"
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
    v2 = [h for h in host if h[0] == "cgroup2"]
    v1 = [h for h in host if h[0] == "cgroup"]
    if hierarchy == "unified" or not v1:
        mount("cgroup2", base, "cgroup2", flags, "nsdelegate")
        return
    mount("tmpfs", base, "tmpfs", flags, "mode=755,size=1m")
    for _, names, _ in v1:
        option = ",".join(names)
        name = option[len("name=") :] if option.startswith("name=") else option
        os.mkdir(f"{base}/{name}")
        mount("cgroup", f"{base}/{name}", "cgroup", flags, option)
    if v2 and hierarchy != "legacy":
        os.mkdir(base + "/unified")
        mount("cgroup2", base + "/unified", "cgroup2", flags, "nsdelegate")
    mount(None, base, None, MS_REMOUNT | MS_BIND | MS_RDONLY | flags)


def _mount_dev(root, slave):
    dev = root + "/dev"
    mount("tmpfs", dev, "tmpfs", MS_NOSUID, "mode=755,size=8m")
    old = os.umask(0)
    for name, major, minor in (
        ("null", 1, 3),
        ("zero", 1, 5),
        ("full", 1, 7),
        ("random", 1, 8),
        ("urandom", 1, 9),
        ("tty", 5, 0),
        ("fuse", 10, 229),
    ):
        os.mknod(f"{dev}/{name}", stat.S_IFCHR | 0o666, os.makedev(major, minor))
    os.mkdir(dev + "/net")
    os.mknod(dev + "/net/tun", stat.S_IFCHR | 0o666, os.makedev(10, 200))
    for name in ("pts", "shm", "mqueue"):
        os.mkdir(f"{dev}/{name}", 0o755)
    os.umask(old)
    mount("devpts", dev + "/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620,gid=5")
    mount("tmpfs", dev + "/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=256m")
    mount("mqueue", dev + "/mqueue", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    os.symlink("pts/ptmx", dev + "/ptmx")
    for name, target in (
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ):
        os.symlink(target, f"{dev}/{name}")
    write(dev + "/console", "")
    bind(slave, dev + "/console", recursive=False)


def _become_init(spec, cgroups, slave):
    """Runs as PID 1 of the new pid namespace, in the machine's root; execs systemd."""
    host = hierarchies()
    for path in cgroups:
        write(path + "/cgroup.procs", "0")
    unshare(CLONE_NEWCGROUP)
    os.setsid()
    os.umask(0o022)
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    root, place = spec["dir"] + "/merged", spec["dir"]
    mount("overlay", root, "overlay", 0, f"lowerdir={spec['root']},upperdir={place}/upper,workdir={place}/work")
    mount("proc", root + "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount("sysfs", root + "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    _mount_dev(root, slave)
    mount("tmpfs", root + "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=512m")
    mount("tmpfs", root + "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=1g")
    _mount_cgroups(root, spec["hierarchy"], host)
    if os.path.isdir(root + "/sys/fs/bpf"):
        with contextlib.suppress(OSError):
            mount("bpf", root + "/sys/fs/bpf", "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=700")
    # The machine's sysctls are not the box's to change, its network's are.  A
    # second, unmasked proc lets containers with a user namespace mount /proc.
    os.makedirs(root + "/run/host/proc", 0o700)
    mount("proc", root + "/run/host/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    bind(root + "/proc/sys", root + "/proc/sys", readonly=True, recursive=False)
    bind(root + "/run/host/proc/sys/net", root + "/proc/sys/net", recursive=False)
    if os.path.exists(root + "/proc/sysrq-trigger"):
        bind(root + "/proc/sysrq-trigger", root + "/proc/sysrq-trigger", readonly=True)
    write(root + "/run/host/notify", "")
    bind(place + "/notify", root + "/run/host/notify", recursive=False)
    # room for containers that is not an overlay (an overlay's upper must not be one)
    data = root + "/var/lib/seaway"
    os.makedirs(data, exist_ok=True)
    if spec["data"] == "tmpfs":
        mount("tmpfs", data, "tmpfs", 0, "mode=755,size=4g")
    else:
        bind(place + "/data", data, recursive=False)
    for source, target, readonly in spec["binds"]:
        inside = root + target
        if os.path.isdir(source):
            os.makedirs(inside, exist_ok=True)
        elif not os.path.exists(inside):
            os.makedirs(os.path.dirname(inside), exist_ok=True)
            write(inside, "")
        bind(source, inside, readonly)
    os.chdir(root)
    _check(libc.syscall(SYS_pivot_root, b".", b"."), "pivot_root")
    _check(libc.umount2(b".", MNT_DETACH), "umount old root")
    os.chdir("/")
    mount(None, "/", None, MS_REC | MS_SHARED)  # as systemd would on a real host
    socket.sethostname(spec["name"])
    for cap in DROPPED:
        libc.prctl(PR_CAPBSET_DROP, cap, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.closerange(3, 4096)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.execve(
        "/lib/systemd/systemd",
        ["/sbin/init", "--log-target=journal-or-kmsg"],
        {
            "container": "seaway-box",
            "container_uuid": spec["uuid"],
            "TERM": "dumb",
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "NOTIFY_SOCKET": "/run/host/notify",
        },
    )


# ---------------------------------------------------------------- the keeper
class Box:
    def __init__(self, spec):
        self.spec, self.name = spec, spec["name"]
        self.pid = self.master = self.slave = self.notify = None
        self.cgroup = f"{CG_TOP}/{spec['fleet']}/{self.name}"
        self.ready = self.started = None
        self.again = False

    def prepare(self):
        place = self.spec["dir"]
        for sub in ("upper/etc", "work", "data", "merged"):
            os.makedirs(f"{place}/{sub}", exist_ok=True)
        os.chmod(f"{place}/upper", 0o755)
        etc = f"{place}/upper/etc"
        write(etc + "/hostname", self.name + "\n")
        write(etc + "/machine-id", self.spec["uuid"].replace("-", "") + "\n")
        write(etc + "/hosts", "127.0.0.1 localhost\n::1 localhost\n" + self.spec["hosts"])
        write(etc + "/resolv.conf", "")

    def boot(self):
        """Start the box; returns once its PID 1 is about to exec systemd."""
        self.started, self.ready, self.again = time.monotonic(), None, False
        place = self.spec["dir"]
        remove_cgroup(self.cgroup)
        cgroups = make_cgroup(self.cgroup)
        limit_cgroup(cgroups, self.spec["memory"], self.spec["pids"])
        with contextlib.suppress(FileNotFoundError):
            os.unlink(place + "/notify")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.notify.bind(place + "/notify")
        os.chmod(place + "/notify", 0o666)
        # the keeper holds both ends: without a slave the console gives EIO, and
        # systemd retries each of its console messages for a second
        self.master, self.slave = pty.openpty()
        os.set_blocking(self.master, False)
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        go_read, go_write = os.pipe()
        flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | signal.SIGCHLD
        pid = _check(libc.syscall(SYS_clone, ctypes.c_ulong(flags), 0, 0, 0, 0), "clone")
        if pid == 0:
            try:
                libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
                os.close(go_write)
                if os.read(go_read, 1) != b"g":
                    os._exit(1)
                _become_init(self.spec, cgroups, os.ttyname(self.slave))
            except BaseException as error:
                os.write(2, f"{self.name}: {error!r}\n{traceback.format_exc()}".encode())
            os._exit(127)
        self.pid = pid
        os.close(go_read)
        self._plug_in()
        os.write(go_write, b"g")
        os.close(go_write)

    def _plug_in(self):
        n, port = self.spec["number"], "p-" + self.name
        subprocess.run(["ip", "link", "del", port], stderr=subprocess.DEVNULL)
        # the address stays over a reboot: the others keep it in their neighbour tables
        ip_batch(
            f"link add {port} mtu {self.spec['mtu']} type veth peer name eth0 address "
            f"02:00:0a:4d:00:{n:02x} mtu {self.spec['mtu']} netns {self.pid}\n"
            f"link set {port} master br0 up\n"
        )
        ip_batch(
            f"link set lo up\nlink set eth0 up\n"
            f"addr add {self.spec['address']}/24 dev eth0\n"
            f"addr add fd77::{n:x}/64 dev eth0 nodad\n"
            f"route add default via {SUBNET}.1\n",
            self.pid,
        )

    def gone(self):
        os.close(self.master)
        os.close(self.slave)
        self.notify.close()
        self.pid = self.master = self.slave = self.notify = self.ready = None
        remove_cgroup(self.cgroup)


def ip_batch(lines, pid=None):
    enter = ["nsenter", "-t", str(pid), "-n"] if pid else []
    subprocess.run([*enter, "ip", "-batch", "-"], input=lines, text=True, check=True, stdout=subprocess.DEVNULL)


class Keeper:
    def __init__(self, place):
        self.place = place
        with open(place + "/config.json") as handle:
            self.config = json.load(handle)
        self.boxes = {s["name"]: Box(s) for s in self.config["hosts"]}
        self.stopping = False
        self.waiters = []

    def save(self):
        state = {"keeper": os.getpid(), "fleet": self.config["fleet"], "hosts": {}}
        for name, box in self.boxes.items():
            state["hosts"][name] = {
                "pid": box.pid,
                "address": box.spec["address"],
                "cgroup": box.cgroup,
                "ready": box.ready is not None,
                "boot_seconds": round(box.ready - box.started, 2) if box.ready else None,
            }
        write(self.place + "/state.tmp", json.dumps(state, indent=1))
        os.rename(self.place + "/state.tmp", self.place + "/state.json")

    def run(self):
        if self.config["bound"]:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
            if os.getppid() != self.config["bound"]:
                return 1
        unshare(CLONE_NEWNET)
        ip_batch(
            "link set lo up\nlink add br0 type bridge forward_delay 0\n"
            f"addr add {SUBNET}.1/24 dev br0\naddr add fd77::1/64 dev br0 nodad\n"
            "link set br0 up\n"
        )
        control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        control.bind(self.place + "/control")
        control.listen(16)
        wake_read, wake_write = os.pipe()
        for end in (wake_read, wake_write):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake_write)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        for box in self.boxes.values():
            box.prepare()
            box.boot()
        self.save()
        while True:
            watched = {wake_read: "wake", control.fileno(): "control"}
            for box in self.boxes.values():
                if box.pid:
                    watched[box.notify.fileno()] = (box, "notify")
                    watched[box.master] = (box, "console")
            ready, _, _ = select.select(list(watched), [], [])
            for fd in ready:
                what = watched[fd]
                if what == "wake":
                    numbers = os.read(wake_read, 512)
                    if signal.SIGTERM in numbers or signal.SIGINT in numbers:
                        self.stop()
                    self.reap()
                elif what == "control":
                    self.command(control.accept()[0])
                elif what[1] == "notify":
                    self.notified(what[0])
                else:
                    self.console(what[0])
            if self.stopping and not any(b.pid for b in self.boxes.values()):
                break
        left = remove_cgroup(f"{CG_TOP}/{self.config['fleet']}")
        for _, _, top in hierarchies():
            with contextlib.suppress(OSError):
                os.rmdir(f"{top}/{CG_TOP}")
        return 1 if left else 0

    def console(self, box):
        data = os.read(box.master, 65536)
        with open(box.spec["dir"] + "/console.log", "ab") as handle:
            handle.write(data)

    def notified(self, box):
        with contextlib.suppress(BlockingIOError):
            while True:
                message = box.notify.recv(65536)
                if b"READY=1" in message.split(b"\n") and box.ready is None:
                    box.ready = time.monotonic()
                    self.save()
                    self.answer_waiters()

    def answer_waiters(self):
        for item in list(self.waiters):
            connection, names = item
            if all(self.boxes[n].ready or not self.boxes[n].pid for n in names):
                self.waiters.remove(item)
                reply(connection, {n: bool(self.boxes[n].ready) for n in names})

    def reap(self):
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for box in self.boxes.values():
                if box.pid == pid:
                    # in a pid namespace reboot(2) ends PID 1 with SIGHUP, halt with SIGINT
                    rebooted = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGHUP
                    print(f"{box.name} ended, status {status:#x}", file=sys.stderr, flush=True)
                    box.gone()
                    if (rebooted or box.again) and not self.stopping:
                        box.boot()
                    self.save()
                    self.answer_waiters()

    def command(self, connection):
        try:
            request = json.loads(connection.makefile().readline())
            op, names = request["op"], request.get("hosts") or list(self.boxes)
            boxes = [self.boxes[n] for n in names]
            if op == "wait":
                self.waiters.append((connection, names))
                self.answer_waiters()
                return
            for box in boxes:
                if op == "boot" and not box.pid:
                    box.boot()
                elif op == "crash" and box.pid:
                    os.kill(box.pid, signal.SIGKILL)
                elif op == "poweroff" and box.pid:
                    os.kill(box.pid, signal.SIGRTMIN + 4)
                elif op == "reboot" and box.pid:
                    os.kill(box.pid, signal.SIGRTMIN + 5)
                elif op in ("plug", "unplug"):
                    ip_batch(f"link set p-{box.name} {'up' if op == 'plug' else 'down'}\n")
            self.save()
            reply(connection, {"ok": True})
        except Exception as error:
            reply(connection, {"error": repr(error)})

    def stop(self):
        self.stopping = True
        for box in self.boxes.values():
            if box.pid:
                os.kill(box.pid, signal.SIGKILL)


def reply(connection, value):
    with contextlib.suppress(OSError):
        connection.sendall(json.dumps(value).encode() + b"\n")
    connection.close()


# ---------------------------------------------------------------- for tests
class Fleet:
    """with Fleet(3, binds=[(src, dst, True)]) as fleet: fleet.run("h1", ["systemctl"])"""

    def __init__(
        self,
        count=1,
        name=None,
        binds=(),
        hierarchy="auto",
        memory="2G",
        pids=4096,
        data="disk",
        mtu=1500,
        root=None,
        keep=False,
        layers=(),
    ):
        self.name = name or f"t{os.getpid()}"
        self.place = os.path.join(RUN, self.name)
        self.options = dict(
            count=count, binds=list(binds), hierarchy=hierarchy, memory=memory, pids=pids, data=data, mtu=mtu, root=root
        )
        self.keep, self.bound, self.keeper = keep, False, None
        # Directories above the root, the topmost first: what a host of before has written.
        self.layers = list(map(str, layers))

    # life
    def start(self, timeout=90):
        o = self.options
        root = ":".join([*self.layers, build(o["root"] or ROOT)])
        os.makedirs(self.place, exist_ok=False)
        hosts = [f"h{i}" for i in range(1, o["count"] + 1)]
        table = "".join(f"{SUBNET}.{10 + i} {h}\n" for i, h in enumerate(hosts, 1))
        unit = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
        memory = o["memory"]
        memory = int(memory[:-1]) * unit[memory[-1]] if memory[-1] in unit else int(memory)
        write(
            self.place + "/config.json",
            json.dumps(
                {
                    "fleet": self.name,
                    "bound": self.bound and os.getpid(),
                    "hosts": [
                        {
                            "name": h,
                            "fleet": self.name,
                            "number": 10 + i,
                            "address": f"{SUBNET}.{10 + i}",
                            "dir": f"{self.place}/{h}",
                            "root": root,
                            "hosts": table,
                            "uuid": str(uuid.uuid4()),
                            "binds": [[os.path.abspath(s), d, bool(r)] for s, d, r in o["binds"]],
                            "hierarchy": o["hierarchy"],
                            "memory": memory,
                            "pids": o["pids"],
                            "data": o["data"],
                            "mtu": o["mtu"],
                        }
                        for i, h in enumerate(hosts, 1)
                    ],
                }
            ),
        )
        with open(self.place + "/keeper.log", "ab") as log:
            self.keeper = subprocess.Popen(
                [sys.executable, os.path.abspath(__file__), "_keeper", self.place],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + timeout
        while not os.path.exists(self.place + "/state.json"):
            if self.keeper.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("keeper failed: " + read(self.place + "/keeper.log"))
            time.sleep(0.02)
        ready = self.wait(timeout=timeout)
        if not all(ready.values()):
            raise RuntimeError(f"boot failed: {ready} " + read(self.place + "/keeper.log"))
        return self

    def stop(self):
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
            state = self.state()
            pid = state["keeper"]
            if is_keeper(pid, self.place):
                os.kill(pid, signal.SIGTERM)
                for _ in range(1500):
                    if self.keeper:
                        self.keeper.poll()
                    if not is_keeper(pid, self.place):
                        break
                    time.sleep(0.01)
                else:
                    os.kill(pid, signal.SIGKILL)
        if self.keeper:
            self.keeper.wait()
        left = remove_cgroup(f"{CG_TOP}/{self.name}")
        for _, _, top in hierarchies():
            with contextlib.suppress(OSError):
                os.rmdir(f"{top}/{CG_TOP}")
        if not self.keep:
            shutil.rmtree(self.place, ignore_errors=True)
        if left:
            raise RuntimeError(f"left over: {left}")

    def __enter__(self):
        # the keeper ends with the thread that started it: a killed test leaves no fleet
        self.bound = True
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_):
        self.stop()

    # use
    def state(self):
        return json.loads(read(self.place + "/state.json"))

    def control(self, op, *hosts, timeout=60):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            connection.connect(self.place + "/control")
            connection.sendall(json.dumps({"op": op, "hosts": list(hosts)}).encode() + b"\n")
            answer = json.loads(connection.makefile().readline())
        if isinstance(answer, dict) and answer.get("error"):
            raise RuntimeError(answer["error"])
        return answer

    def wait(self, *hosts, timeout=60):
        return self.control("wait", *hosts, timeout=timeout)

    def argv(self, host, command):
        """The command line that runs `command` in the box (in cgroup <box>/exec)."""
        return [sys.executable, os.path.abspath(__file__), "--fleet", self.name, "exec", host, "--", *command]

    def run(self, host, command, check=True, **options):
        if isinstance(command, str):
            command = ["sh", "-ec", command]
        options.setdefault("text", True)
        if "stdout" not in options:
            options.setdefault("capture_output", True)
        done = subprocess.run(self.argv(host, command), **options)
        if check and done.returncode:
            raise RuntimeError(f"{host}: {command} -> {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def net(self, command, **options):
        return subprocess.run(["nsenter", "-t", str(self.state()["keeper"]), "-n", *command], **options)


def is_keeper(pid, place):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as handle:
            return f"_keeper\0{place}\0".encode() in handle.read()
    except OSError:
        return False


def enter(fleet, host, command):
    """Run `command` in the box; the exit status is the command's.

    Only the child joins the box's cgroup (as <box>/exec): a member that is
    outside the box's pid namespace would show there as pid 0, which systemd
    answers with EIO.
    """
    try:
        info = fleet.state()["hosts"][host]
    except (FileNotFoundError, KeyError):
        sys.exit(f"no host {host} in fleet {fleet.name}")
    if not info["pid"]:
        sys.exit(f"{host} is down")
    joins = [os.open(path + "/cgroup.procs", os.O_WRONLY) for path in make_cgroup(info["cgroup"] + "/exec")]
    spaces = [os.open(f"/proc/{info['pid']}/ns/{n}", os.O_RDONLY) for n in ("uts", "ipc", "net", "cgroup", "mnt")]
    inner = os.open(f"/proc/{info['pid']}/ns/pid", os.O_RDONLY)
    _check(libc.setns(inner, CLONE_NEWPID), "setns pid")
    child = os.fork()
    if child == 0:
        try:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            for fd in joins:
                os.write(fd, b"0")
            for fd in spaces:
                _check(libc.setns(fd, 0), "setns")
            for cap in DROPPED:
                libc.prctl(PR_CAPBSET_DROP, cap, 0, 0, 0)
            os.chdir("/root")
            os.execvpe(
                command[0],
                command,
                {
                    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                    "HOME": "/root",
                    "LANG": "C.UTF-8",
                    "TERM": os.environ.get("TERM", "dumb"),
                },
            )
        except OSError as error:
            os.write(2, f"box exec: {error}\n".encode())
        os._exit(127)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda n, _: os.kill(child, n))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os._exit(code if code >= 0 else 128 - code)


def selftest(count):
    begin = time.monotonic()
    with Fleet(count) as fleet:
        state = fleet.state()
        print(
            f"{count} hosts up in {time.monotonic() - begin:.1f}s",
            {h: v["boot_seconds"] for h, v in state["hosts"].items()},
        )
        for host in state["hosts"]:
            shown = fleet.run(
                host,
                "systemctl is-system-running; systemctl --failed --no-legend;cat /proc/1/comm; hostname",
                check=False,
            ).stdout.split("\n")
            print(host, *shown)
        if count > 1:
            fleet.run("h1", ["busybox", "ping", "-c1", "-W2", "h2"])
            print("h1 pings h2")
    print(f"all gone after {time.monotonic() - begin:.1f}s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fleet", default="f")
    sub = parser.add_subparsers(dest="op", required=True)
    sub.add_parser("build").add_argument("--force", action="store_true")
    up = sub.add_parser("up")
    up.add_argument("-n", type=int, default=3)
    up.add_argument("--bind", action="append", default=[], metavar="SRC:DST[:ro]")
    up.add_argument("--hierarchy", default="auto", choices=["auto", "hybrid", "legacy", "unified"])
    up.add_argument("--memory", default="2G")
    up.add_argument("--data", default="disk", choices=["disk", "tmpfs"])
    up.add_argument("--mtu", type=int, default=1500)
    run = sub.add_parser("exec")
    run.add_argument("host")
    run.add_argument("command", nargs=argparse.REMAINDER)
    sub.add_parser("net").add_argument("command", nargs=argparse.REMAINDER)
    ctl = sub.add_parser("ctl")
    ctl.add_argument("ctlop", choices=["crash", "boot", "poweroff", "reboot", "unplug", "plug", "wait"])
    ctl.add_argument("host", nargs="*")
    for name in ("status", "down"):
        sub.add_parser(name)
    sub.add_parser("selftest").add_argument("-n", type=int, default=3)
    sub.add_parser("_keeper").add_argument("place")
    args = parser.parse_args()
    if args.op == "_keeper":
        sys.exit(Keeper(args.place).run())
    fleet = Fleet(name=args.fleet)
    command = [c for i, c in enumerate(getattr(args, "command", None) or []) if c != "--" or i]
    if args.op == "build":
        begin = time.monotonic()
        print(build(force=args.force), f"{time.monotonic() - begin:.1f}s")
    elif args.op == "up":
        binds = [(b.split(":")[0], b.split(":")[1], b.endswith(":ro")) for b in args.bind]
        fleet = Fleet(args.n, args.fleet, binds, args.hierarchy, args.memory, data=args.data, mtu=args.mtu)
        begin = time.monotonic()
        try:
            fleet.start()
        except BaseException:
            fleet.stop()
            raise
        print(json.dumps(fleet.state(), indent=1))
        print(f"up in {time.monotonic() - begin:.2f}s")
    elif args.op == "exec":
        enter(fleet, args.host, command)
    elif args.op == "net":
        sys.exit(fleet.net(command).returncode)
    elif args.op == "ctl":
        print(fleet.control(args.ctlop, *args.host))
    elif args.op == "status":
        print(json.dumps(fleet.state(), indent=1))
    elif args.op == "down":
        fleet.stop()
    elif args.op == "selftest":
        selftest(args.n)


if __name__ == "__main__":
    try:
        main()
    except OSError as problem:
        if problem.errno in (errno.EPERM, errno.EACCES) and os.geteuid():
            sys.exit("box.py needs root")
        raise
