"""A machine of its own with Debian's kernel, for what this one's can't show: cgroup version 2 alone, with controllers.

QEMU without KVM runs it, so it takes a quarter of a minute to boot and computes ten times slower. Its root is that of
`systemd_box` with a few packages more, read-only below a tmpfs; a directory of this machine is at /src.
"""

from __future__ import annotations

import contextlib
import glob
import gzip
import lzma
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support import systemd_box as box

_CACHE = Path(box.CACHE)
_ROOT = _CACHE / "vm-root"
_KERNEL = _CACHE / "vm-kernel"
_IMAGE = _CACHE / "vm-root.ext4"
_INITRD = _CACHE / "vm-initrd.gz"
_EARLY = ("virtio_pci", "virtio_blk", "virtio_console", "overlay", "virtiofs")
_VIRTIOFSD = "/usr/lib/qemu/virtiofsd"
NEEDS = ("qemu-system-x86_64", _VIRTIOFSD, "debootstrap", "mke2fs")
"""Programs; Debian packages qemu-system-x86, debootstrap, e2fsprogs."""

_INIT = r"""#!/bin/busybox sh
# The first process: a writable overlay on tmpfs over the read-only root, then systemd.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -n -t proc proc /proc
mount -n -t sysfs sysfs /sys
modprobe overlay
modprobe virtiofs
mount -n -t tmpfs -o size=75% tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/new
n=/mnt/new
mount -n -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work $n
mkdir -p $n/var/lib/seaway $n/src $n/host $n/old
mount -n -t virtiofs host $n/host
mount -n -t virtiofs src $n/src
# overlayfs takes no upper directory on itself
mount -n -t tmpfs -o size=75% tmpfs $n/var/lib/seaway
echo vm >$n/etc/hostname; hostname vm
echo "127.0.0.1 localhost" >$n/etc/hosts
tr -d - </proc/sys/kernel/random/uuid >$n/etc/machine-id
ip link set lo up
mount -n -t tmpfs -o mode=755,nosuid,nodev tmpfs $n/run
mkdir -p $n/run/systemd/system/multi-user.target.wants
cat >$n/run/systemd/system/vm-command.service <<X
[Unit]
After=multi-user.target
[Service]
Type=exec
TimeoutStartSec=infinity
Environment=HOME=/root
ExecStart=/bin/sh -c 'sh /host/command >/host/out 2>&1; echo \$? >/host/status; systemctl poweroff --force'
X
ln -s ../vm-command.service $n/run/systemd/system/multi-user.target.wants/
for d in proc sys dev; do mount -n --move /$d $n/$d; done
cd $n
pivot_root . old
umount -n -l /old
rmdir /old
exec chroot . /sbin/init <dev/console >dev/console 2>&1
"""


@dataclass(frozen=True)
class Ended:
    """How a command in the machine ended: its status, None where the machine didn't get that far, and what it said."""

    status: int | None
    said: str
    console: str


def missing() -> list[str]:
    """The programs that this needs and that aren't there."""
    return [each for each in NEEDS if not shutil.which(each)]


def run(script: str, source: Path, seconds: float, memory: str = "3G") -> Ended:
    """Boot, run lines of shell as root once all is up, and power off. `source` is at /src there."""
    _build()
    Path(box.RUN).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="vm-", dir=box.RUN) as name, contextlib.ExitStack() as running:
        place = Path(name)
        (place / "host").mkdir()
        (place / "host" / "command").write_text(script)
        shares = [*_share(running, place, "host", place / "host"), *_share(running, place, "src", source)]
        with (place / "console").open("wb") as console:
            machine = running.enter_context(_started(_qemu(shares, memory), console.fileno()))
            with contextlib.suppress(subprocess.TimeoutExpired):
                machine.wait(seconds)
        status = _text(place / "host" / "status").strip()
        return Ended(int(status) if status else None, _text(place / "host" / "out"), _text(place / "console"))


def _build() -> None:
    """Make what is missing; finished when the disk image is there."""
    if _IMAGE.exists():
        return
    base = box.build()
    for old in (_ROOT, _KERNEL):
        shutil.rmtree(old, ignore_errors=True)
    subprocess.run(["cp", "-a", base, _ROOT], check=True)
    _in_root("apt-get", "update", "-q")
    _in_root("apt-get", "install", "-y", "-q", "--no-install-recommends", "kmod", "procps")
    _in_root(
        "sh",
        "-ec",
        "mkdir -m 777 /tmp/debs; cd /tmp/debs; apt-get download "
        "$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: //p' | head -1)",
    )
    for deb in (_ROOT / "tmp/debs").glob("*.deb"):
        subprocess.run(["nice", "dpkg-deb", "-x", deb, _KERNEL], check=True)
    shutil.rmtree(_ROOT / "tmp/debs")
    for tree in (_KERNEL / "lib/modules").iterdir():
        shutil.copytree(tree, _ROOT / "lib/modules" / tree.name, symlinks=True)
        _in_root("depmod", tree.name)
    (_ROOT / "sbin/vm-init").write_text(_INIT)
    (_ROOT / "sbin/vm-init").chmod(0o755)
    _INITRD.write_bytes(gzip.compress(_initrd(), 1))
    fresh = _IMAGE.with_suffix(".new")
    # Without a journal, and without room for more: nobody writes to it.
    subprocess.run(
        ["nice", "mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d", _ROOT, fresh, "1200M"], check=True
    )
    fresh.rename(_IMAGE)


def _in_root(*command: str) -> None:
    """A command in the machine's root, in a mount namespace of its own."""
    prepared = (
        'mount --make-rprivate /; r=$1; shift; mount -t proc proc "$r/proc"; mount --rbind /dev "$r/dev"; '
        'mount -t tmpfs tmpfs "$r/run"; cat /etc/resolv.conf >"$r/etc/resolv.conf"; '
        'DEBIAN_FRONTEND=noninteractive exec chroot "$r" "$@"'
    )
    argv = ["nice", "unshare", "-m", "sh", "-ec", prepared, "sh", str(_ROOT), *command]
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)


def _initrd() -> bytes:
    """What mounts the disk: busybox, and the modules that are needed for it in their order."""
    (modules,) = glob.glob(f"{_KERNEL}/lib/modules/*")
    paths = {os.path.basename(p).split(".ko")[0]: p for p in glob.glob(f"{modules}/**/*.ko*", recursive=True)}
    order = _with_needed((_ROOT / "lib/modules" / os.path.basename(modules) / "modules.dep").read_text())
    b = "/bin/busybox"
    script = f"#!{b} sh\n{b} mkdir /proc /r\n{b} mount -t devtmpfs d /dev\n"
    script += "".join(f"{b} insmod /m/{module}.ko\n" for module in order)
    script += f"i=0; while [ ! -b /dev/vda ] && [ $i -lt 200 ]; do {b} sleep 0.05; i=$((i+1)); done\n"
    script += (
        f"{b} mount -t ext4 -o ro /dev/vda /r\n{b} mount --move /dev /r/dev\nexec {b} switch_root /r /sbin/vm-init\n"
    )
    entries = [(directory, 0o40755, b"") for directory in ("bin", "dev", "m")]
    entries += [("bin/busybox", 0o100755, (_ROOT / "bin/busybox").read_bytes()), ("init", 0o100755, script.encode())]
    for module in order:
        opened = lzma.open if paths[module].endswith(".xz") else open
        with opened(paths[module], "rb") as file:
            entries.append((f"m/{module}.ko", 0o100644, file.read()))
    return _cpio(entries)


def _with_needed(dependencies: str) -> list[str]:
    """The modules of `_EARLY` with those that they need (modules.dep(5)), each after what it needs."""
    lines = [
        [os.path.basename(word).split(".ko")[0] for word in line.replace(":", " ").split()]
        for line in dependencies.splitlines()
    ]
    needs = {line[0]: line[1:] for line in lines}
    order: list[str] = []

    def add(module: str) -> None:
        for other in needs[module]:
            add(other)
        if module not in order:
            order.append(module)

    for module in _EARLY:
        add(module)
    return order


def _cpio(entries: list[tuple[str, int, bytes]]) -> bytes:
    """An initramfs in the form `newc` (the kernel's buffer-format.rst) of names, modes and contents."""
    out = bytearray()
    for number, (name, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1):
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        out += b"070701" + b"".join(b"%08x" % each for each in fields) + name.encode() + b"\0"
        out += b"\0" * (-len(out) % 4) + data
        out += b"\0" * (-len(out) % 4)
    return bytes(out)


def _share(running: contextlib.ExitStack, place: Path, tag: str, source: Path) -> list[str]:
    """A directory of this machine for the other one (virtiofs); what QEMU must be told."""
    path = place / f"{tag}.sock"
    argv = [_VIRTIOFSD, f"--socket-path={path}", "-o", f"source={source.resolve()}", "-o", "cache=auto"]
    running.enter_context(_started(argv, subprocess.DEVNULL))
    deadline = time.monotonic() + 10
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    device = f"vhost-user-fs-pci,chardev={tag},tag={tag}"
    return ["-chardev", f"socket,id={tag},path={path}", "-device", device]


@contextlib.contextmanager
def _started(argv: list[str], output: int) -> Iterator[subprocess.Popen[bytes]]:
    """A program that ends with the `with`, and with us however we end."""

    def bound() -> None:
        box.libc.prctl(box.PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    child = subprocess.Popen(
        ["nice", "-n", "10", *argv], preexec_fn=bound, stdin=subprocess.DEVNULL, stdout=output, stderr=output
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def _qemu(shares: list[str], memory: str) -> list[str]:
    (kernel,) = glob.glob(f"{_KERNEL}/boot/vmlinuz-*")
    machine = ["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", memory, "-nodefaults", "-no-user-config"]
    machine += ["-display", "none", "-serial", "stdio", "-no-reboot"]
    machine += ["-object", f"memory-backend-memfd,id=mem,size={memory},share=on", "-numa", "node,memdev=mem"]
    disk = ["-drive", f"file={_IMAGE},if=none,id=root,format=raw,readonly=on", "-device", "virtio-blk-pci,drive=root"]
    words = "console=ttyS0 panic=-1 mitigations=off nokaslr quiet"
    return [
        "qemu-system-x86_64",
        *machine,
        *shares,
        *disk,
        "-kernel",
        kernel,
        "-initrd",
        str(_INITRD),
        "-append",
        words,
    ]


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""
