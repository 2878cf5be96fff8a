"""What a disk may hold after the power went: everything up to the last flush of each file, and any part of what was written since.

A process is traced with strace, its writes to one folder are noted, and the folder is rebuilt as it may look after a cut at any point.
"""

from __future__ import annotations

import random
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

SECTOR = 512
"""A disk writes whole sectors; a longer write may be torn between them."""
_CALLS = "openat,close,pwrite64,write,fsync,fdatasync,ftruncate,unlink,lseek"


@dataclass
class Trace:
    """Operations on the files of a folder, in order: (file name, kind, offset, data)."""

    operations: list[tuple[str, str, int, bytes]] = field(default_factory=list)

    @property
    def flushes(self) -> int:
        """How often a file was flushed to the disk."""
        return sum(kind == "flush" for _, kind, _, _ in self.operations)


def trace(script: str, folder: Path) -> Trace:
    """Run a Python script and return what it did to the files of a folder.

    Raises
    ------
    FileNotFoundError
        If strace is not installed.
    """
    log = folder.with_name(folder.name + ".strace")
    command = ["strace", "-f", "-qq", "-xx", "-s", "1000000", "-e", f"trace={_CALLS}", "-o", str(log), sys.executable, "-c", script]
    subprocess.run(command, check=True)
    return _parse(log.read_text(), folder)


def _parse(text: str, folder: Path) -> Trace:
    result, names, offsets = Trace(), dict[int, str](), dict[int, int]()
    for line in text.splitlines():
        match = re.match(r"\d+\s+(\w+)\((.*)\)\s+= (-?\d+)", line)
        if not match or int(match[3]) < 0:
            continue
        call, arguments, returned = match[1], match[2], int(match[3])
        if call in ("openat", "unlink"):
            path = Path(_bytes(arguments).decode(errors="replace"))
            if path.parent == folder and call == "openat":
                names[returned], offsets[returned] = path.name, 0
            elif path.parent == folder:
                result.operations.append((path.name, "unlink", 0, b""))
            elif call == "openat":
                names.pop(returned, None)
            continue
        fd = int(arguments.split(",")[0].split(")")[0])
        if fd not in names:
            continue
        if call == "close":
            del names[fd]
        elif call == "pwrite64":
            result.operations.append((names[fd], "write", int(arguments.rsplit(",", 1)[1]), _bytes(arguments)))
        elif call == "write":
            result.operations.append((names[fd], "write", offsets[fd], _bytes(arguments)))
            offsets[fd] += returned
        elif call == "lseek":
            offsets[fd] = returned
        elif call == "ftruncate":
            result.operations.append((names[fd], "truncate", int(arguments.rsplit(",", 1)[1]), b""))
        else:
            result.operations.append((names[fd], "flush", 0, b""))
    return result


def _bytes(arguments: str) -> bytes:
    match = re.search(r'"((?:\\x[0-9a-f]{2})*)"', arguments)
    return bytes.fromhex(match[1].replace("\\x", "")) if match else b""


def after_cut(done: Trace, upto: int, folder: Path, rng: random.Random) -> None:
    """Write the files as they may be after the power went when ``upto`` operations had been carried out."""
    flushed: dict[str, int] = {}
    for i, (name, kind, _, _) in enumerate(done.operations[:upto]):
        if kind == "flush":
            flushed[name] = i
    files: dict[str, bytearray] = {}
    for i, (name, kind, offset, data) in enumerate(done.operations[:upto]):
        sure = i < flushed.get(name, -1)
        if kind == "unlink":
            files.pop(name, None)
        elif kind == "truncate" and (sure or rng.random() < 0.5):
            content = files.setdefault(name, bytearray())
            content[:] = content[:offset].ljust(offset, b"\0")
        elif kind == "write":
            _write(files.setdefault(name, bytearray()), offset, data, 1.0 if sure else rng.choice((0.0, 0.5, 1.0)), rng)
    for name, content in files.items():
        if not name.endswith("-shm"):  # shared memory: rebuilt at the next start
            (folder / name).write_bytes(content)


def _write(content: bytearray, offset: int, data: bytes, share: float, rng: random.Random) -> None:
    """Apply a write, or only that share of its sectors."""
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    for start in range(0, len(data), SECTOR):
        if share == 1.0 or rng.random() < share:
            part = data[start : start + SECTOR]
            begin = offset + start
            if len(content) < begin:
                content.extend(bytes(begin - len(content)))
            content[begin : begin + len(part)] = part
