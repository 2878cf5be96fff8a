"""What a process gives back once it has started: code that only its loading read, and never a page that differs from its file."""

from __future__ import annotations

import os
import subprocess
import sys

from bramble_client.machine import allocator
from bramble_protocol.python_path import python_path

SMAPS = """\
7f0000000000-7f0000002000 r-xp 00001000 08:01 4711                       /usr/lib/libgood.so.1
Rss:                   8 kB
Anonymous:             0 kB
7f0000010000-7f0000012000 r-xp 00001000 08:01 4712                       /usr/lib/librelocated.so.1
Anonymous:             4 kB
7f0000020000-7f0000022000 r--p 00001000 08:01 4711                       /usr/lib/libgood.so.1
Anonymous:             0 kB
7f0000030000-7f0000032000 rw-p 00001000 08:01 4711                       /usr/lib/libgood.so.1
Anonymous:             0 kB
7f0000040000-7f0000042000 r-xp 00000000 00:00 0                          [vdso]
Anonymous:             0 kB
7f0000050000-7f0000052000 r-xp 00000000 00:00 0
Anonymous:             0 kB
7f0000060000-7f0000064000 r-xp 00000000 08:01 4713                       /usr/bin/a b (deleted)
Anonymous:             0 kB
"""


def test_only_code_is_let_go_that_its_file_brings_back_as_it_was() -> None:
    assert list(allocator._code(SMAPS)) == [(0x7F0000000000, 0x7F0000002000), (0x7F0000060000, 0x7F0000064000)]


WORKS = """
import numpy as np
from bramble_client.machine import allocator

def mapped():
    lines = open("/proc/self/smaps_rollup").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Rss:"))

values = np.arange(1000.0).reshape(10, 100)
before, product = mapped(), values @ values.T
allocator.let_go()
print(mapped() < before, np.array_equal(values @ values.T, product))
"""


def test_a_process_works_on_without_what_it_let_go() -> None:
    environment = {**os.environ, "PYTHONPATH": python_path("bramble_client", "bramble_protocol")}
    done = subprocess.run([sys.executable, "-c", WORKS], capture_output=True, text=True, env=environment)
    assert (done.stdout, done.stderr) == ("True True\n", "")
