"""What the server checks its files by is one number, whichever library reckons it."""

from __future__ import annotations

import zlib

import pytest

from bramble_server import disk


@pytest.mark.parametrize("size", [0, 1, 7, 64, 65_537])
def test_the_check_sum_is_zlibs_so_that_any_server_reads_the_files_of_any_other(size: int) -> None:
    data = bytes(index % 251 for index in range(size))
    assert disk.crc32(data) == zlib.crc32(data)
    assert disk.crc32(memoryview(data)[size // 2 :], disk.crc32(data[: size // 2])) == zlib.crc32(data)
