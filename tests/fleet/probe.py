"""What a process can do from where it is: run inside a unit's sandbox, it tries what somebody would who had taken the process over.

Standard library only, for it is copied to a host. Prints a JSON object: what was tried -> what came of it, or nothing where it was denied.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import mmap
import os
import platform
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

MB = 1 << 20
LIBC = ctypes.CDLL(None, use_errno=True)
STATE = Path(os.environ["STATE_DIRECTORY"])
UNIT, OTHERS, OWN, FAR = sys.argv[1:5]
"""The unit that is probed, paths of others' secrets and data (with colons), the address that it needs, and one that it does not."""
CALLS = {  # numbers of calls that Python has no name for
    "x86_64": {"ptrace": 101, "pivot_root": 155, "init_module": 175, "kexec_load": 246, "add_key": 248, "keyctl": 250, "bpf": 321,
               "perf_event_open": 298, "process_vm_readv": 310, "memfd_create": 319, "userfaultfd": 323, "open_by_handle_at": 304},
    "aarch64": {"ptrace": 117, "pivot_root": 41, "init_module": 105, "kexec_load": 104, "add_key": 217, "keyctl": 219, "bpf": 280,
                "perf_event_open": 241, "process_vm_readv": 270, "memfd_create": 279, "userfaultfd": 282, "open_by_handle_at": 265},
}.get(platform.machine(), {})  # fmt: skip
CALLS |= {"io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427}
ALLOWED_BUT_WRONG = {22, 14, 9, 2, 77}
"""EINVAL, EFAULT, EBADF, ENOENT, EBADFD: the kernel looked at the arguments, so the call itself is allowed."""

tried: dict[str, Callable[[], object]] = {}


def attempt(name: str) -> Callable[[Callable[[], object]], Callable[[], object]]:
    """Add a function to what is tried; what it returns, unless that is nothing, says what is possible."""

    def add(function: Callable[[], object]) -> Callable[[], object]:
        tried[name] = function
        return function

    return add


def call(number: int, *arguments: object) -> str:
    """Make a system call; return something if the kernel did not deny it."""
    ctypes.set_errno(0)
    answer = LIBC.syscall(number, *arguments)
    if answer >= 0:
        return "allowed"
    return "allowed" if ctypes.get_errno() in ALLOWED_BUT_WRONG else ""


for _name, _number in CALLS.items():
    tried[f"system call {_name}"] = lambda number=_number: call(number, 0, 0, 0, 0, 0)  # type: ignore[misc]


def plain(name: str, *arguments: object) -> str:
    """Call a function of the C library that returns -1 when it fails; any success counts, and nothing else."""
    return "allowed" if getattr(LIBC, name)(*arguments) >= 0 else ""


def done(function: Callable[..., object], *arguments: object, **named: object) -> str:
    """Call a function that raises when it is denied."""
    function(*arguments, **named)
    return "done"


CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
tried |= {
    "new user namespace": lambda: plain("unshare", CLONE_NEWUSER),
    "new network namespace": lambda: plain("unshare", CLONE_NEWNET),
    "mount": lambda: plain("mount", b"none", b"/mnt", b"tmpfs", 0, None),
    "chroot": lambda: plain("chroot", b"/"),
    "become root": lambda: plain("setresuid", 0, 0, 0),
    "drop or take groups": lambda: plain("setgroups", 0, None),
    "host name": lambda: plain("sethostname", b"probe", 5),
    "reboot": lambda: plain("reboot", 0x89ABCDEF),  # CAD_OFF: harmless where it were allowed
    "swap": lambda: plain("swapoff", b"/none"),
    "read the kernel's log": lambda: plain("klogctl", 10, None, 0),
    "lock memory": lambda: plain("mlockall", 1),
    "another personality": lambda: plain("personality", 0x0008),
    "adjust the clock": lambda: plain("adjtimex", b"\x08" + bytes(511)),  # ADJ_ESTERROR: harmless where it were allowed
    "set the clock": lambda: done(time.clock_settime, time.CLOCK_REALTIME, time.time()),
    "real-time priority": lambda: done(os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(1)),
    "higher priority": lambda: done(os.setpriority, os.PRIO_PROCESS, 0, -5),
    "be spared when memory runs out": lambda: done(Path("/proc/self/oom_score_adj").write_text, "-1000"),
    "device node": lambda: done(os.mknod, STATE / "node", stat.S_IFCHR | 0o600, os.makedev(1, 1)),
    "memory that can be written and run": lambda: done(mmap.mmap, -1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC),
    "raise a limit of its own": lambda: done(
        resource.setrlimit, resource.RLIMIT_CORE, (1, resource.getrlimit(resource.RLIMIT_CORE)[1] + 1)
    ),
    "set-user-id file": lambda: done(os.open, STATE / "suid", os.O_CREAT, 0o4755),
    "end another's process": lambda: done(os.kill, 1, 0),
    "a lock in the system's folder": lambda: done(open, "/run/lock/probe", "w"),
}


def writable() -> Iterator[Path]:
    """Yield the topmost folders that this process may write to."""
    waiting = [Path("/")]
    while waiting:
        folder = waiting.pop()
        if folder.parts[1:2] in (("proc",), ("sys",)):
            continue
        try:
            with tempfile.TemporaryFile(dir=folder):
                pass
            yield folder
        except OSError:
            with contextlib.suppress(OSError):
                waiting += [Path(entry) for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]


@attempt("write to folders")
def _() -> object:
    return " ".join(str(folder) for folder in sorted(writable()))


@attempt("run a program of its own")
def _() -> object:
    ran = []
    for folder in writable():
        program = folder / "program"
        try:
            shutil.copy("/bin/true", program)
            program.chmod(0o755)
            subprocess.run([program], check=True)
            ran.append(str(folder))
        except OSError:
            pass
        program.unlink(missing_ok=True)
    return " ".join(ran)


@attempt("load a library of its own")
def _() -> object:
    source = next(Path("/usr/lib").glob("*/libz.so.1"))
    shutil.copy(source, STATE / "own.so")
    try:
        ctypes.CDLL(str(STATE / "own.so"))
    finally:
        (STATE / "own.so").unlink()
    return "loaded"


@attempt("run a program from memory")
def _() -> object:
    descriptor = os.memfd_create("program", 0)
    os.write(descriptor, Path("/bin/true").read_bytes())
    subprocess.run([f"/proc/self/fd/{descriptor}"], check=True, pass_fds=[descriptor])
    return "ran"


def child(work: Callable[[Callable[[str], None]], None]) -> str:
    """Do some work in a process of its own, which may die of it; return the last it said."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(read)
        with contextlib.suppress(BaseException), os.fdopen(write, "w") as pipe:
            work(lambda said: print(said, file=pipe, flush=True))
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answers:
        lines = answers.read().split("\n")[:-1]
    os.waitpid(pid, 0)
    return lines[-1] if lines else ""


@attempt("processes")
def _() -> object:
    children: list[int] = []
    with contextlib.suppress(OSError):
        while len(children) < 400:
            pid = os.fork()
            if not pid:
                signal.pause()
            children.append(pid)
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return len(children)


def _take(private: bool) -> str:
    def take(say: Callable[[str], None]) -> None:
        held = []
        for taken in range(64, 1537, 64):
            flags = (mmap.MAP_PRIVATE if private else mmap.MAP_SHARED) | mmap.MAP_ANONYMOUS
            block = mmap.mmap(-1, 64 * MB, flags=flags)
            for page in range(0, 64 * MB, 4096):
                block[page] = 1
            held.append(block)
            say(str(taken))

    return child(take)


tried |= {"MB of memory in one process": lambda: _take(True), "MB of shared memory": lambda: _take(False)}


@attempt("MB in one file")
def _() -> object:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    path, reached = STATE / "large", 0
    try:
        with path.open("wb") as file:
            for size in (256, 1024, 1025, 4096):
                file.seek(size * MB - 1)
                file.write(b"x")  # a hole before it: nothing is filled for the sake of the question
                file.flush()
                reached = size
    except OSError:
        pass
    finally:
        path.unlink()
    return reached


@attempt("others' processes seen")
def _() -> object:
    mine = {os.getpid(), os.getppid()}
    return " ".join(sorted(name for name in os.listdir("/proc") if name.isdigit() and int(name) not in mine and _foreign(name)))


def _foreign(process: str) -> bool:
    try:
        group = Path("/proc", process, "cgroup").read_text()
        return UNIT not in group and "bramble-probe" not in group
    except OSError:
        return True


@attempt("others' memory")
def _() -> object:
    opened = []
    for process in (name for name in os.listdir("/proc") if name.isdigit() and _foreign(name)):
        with contextlib.suppress(OSError), open(f"/proc/{process}/mem", "rb"):
            opened.append(process)
    return " ".join(opened)


@attempt("others' secrets and data")
def _() -> object:
    read = []
    for path in OTHERS.split(":"):
        with contextlib.suppress(OSError):
            (os.listdir if os.path.isdir(path) else Path.read_bytes)(Path(path))
            read.append(path)
    return " ".join(read)


def reach(address: str, port: int) -> bool:
    """Say whether anything comes back from an address."""
    with socket.socket() as channel:
        channel.settimeout(2)
        try:
            channel.connect((address, port))
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return True


tried |= {
    "reach its server": lambda: "reached" if reach(OWN, 22) else "",
    "reach another address": lambda: "reached" if reach(FAR, 22) else "",
    "reach its own machine": lambda: "reached" if reach("127.0.0.1", 22) else "",
}


@attempt("send a datagram to another address")
def _() -> object:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.settimeout(1)
        channel.connect((FAR, 9))
        channel.send(b"?")
        try:
            channel.recv(1)
        except ConnectionRefusedError:
            return "it answered that nobody listens"
    return "sent"


@attempt("listen on a port")
def _() -> object:
    with socket.socket() as channel:
        channel.bind(("0.0.0.0", 0))
        channel.listen()
    with socket.socket() as channel:
        channel.bind(("0.0.0.0", 18999))
    return "bound"


@attempt("kinds of sockets")
def _() -> object:
    made = []
    kinds = {
        "netlink": (16, socket.SOCK_RAW, 0), "packet": (17, socket.SOCK_RAW, 3), "raw": (socket.AF_INET, socket.SOCK_RAW, 1),
        "crypto": (38, 5, 0), "virtual machine": (40, socket.SOCK_STREAM, 0), "bluetooth": (31, socket.SOCK_RAW, 1),
        "CAN": (29, socket.SOCK_RAW, 1), "XDP": (44, socket.SOCK_RAW, 0),
    }  # fmt: skip
    for name, (family, kind, number) in kinds.items():
        with contextlib.suppress(OSError):
            socket.socket(family, kind, number).close()
            made.append(name)
    return " ".join(made)


@attempt("talk to the system's services")
def _() -> object:
    spoken = []
    for folder, _folders, names in os.walk("/run"):
        for path in (Path(folder, name) for name in names if Path(folder, name).is_socket()):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
                with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, kind) as channel:
                    channel.connect(str(path))
                    spoken.append(str(path))
    return " ".join(sorted(spoken))


@attempt("shared memory and queues of the system")
def _() -> object:
    found = []
    identifier = LIBC.shmget(0x62726D62, 4096, 0)  # the key that the test made outside
    if identifier >= 0:
        found.append("shared memory")
    with contextlib.suppress(OSError):
        if os.listdir("/dev/shm") is not None:
            found.append("/dev/shm")
    return " ".join(found)


@attempt("write to the kernel's settings")
def _() -> object:
    written = []
    settings = ("/proc/sys/kernel/core_pattern", "/proc/sys/vm/drop_caches", "/proc/sysrq-trigger", "/sys/power/state")
    for path in (*settings, "/sys/fs/cgroup/cgroup.procs"):
        with contextlib.suppress(OSError), open(path, "w"):
            written.append(path)
    return " ".join(written)


@attempt("read the kernel's memory")
def _() -> object:
    read = []
    for path in ("/dev/mem", "/dev/kmem", "/dev/port", "/proc/kcore", "/dev/kmsg", "/proc/kmsg"):
        with contextlib.suppress(OSError), open(path, "rb"):
            read.append(path)
    with contextlib.suppress(OSError):
        if any(not line.startswith("0000000000000000") for line in Path("/proc/kallsyms").read_text().splitlines()[:100]):
            read.append("/proc/kallsyms")
    return " ".join(read)


@attempt("devices")
def _() -> object:
    harmless = {os.makedev(1, minor) for minor in (3, 5, 7, 8, 9)} | {os.makedev(5, 0), os.makedev(5, 2)}  # null, zero, random, tty ...
    opened: dict[int, str] = {}
    for folder, _folders, names in os.walk("/dev"):
        for path in (Path(folder, name) for name in names if not folder.startswith(("/dev/fd", "/dev/pts"))):
            with contextlib.suppress(OSError):
                found = path.stat()
                if stat.S_IFMT(found.st_mode) in (stat.S_IFCHR, stat.S_IFBLK) and found.st_rdev not in harmless:
                    os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY))
                    opened[found.st_rdev] = str(path)
    return " ".join(sorted(opened.values()))


def main() -> None:
    """Try everything, each in a process of its own; write what came of it."""
    results: dict[str, str] = {}
    for name, function in tried.items():

        def work(say: Callable[[str], None], function: Callable[[], object] = function) -> None:
            found = function()
            say("" if found is None else str(found))

        results[name] = child(work)
    (STATE / "told.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main()
