"""What hosts install from: an archive holds what its lock says and is called by it, and what lies around is not kept for ever."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "ansible"))

from wheelhouse import build, locks  # noqa: E402
from wheelhouse.targets import find  # noqa: E402

from tests.waiting import wait_for  # noqa: E402

TARGET = find("client", "cp311-x86_64")


def wheel(folder: Path, name: str, files: dict[str, bytes]) -> locks.Wheel:
    """Write a wheel; return its line of a lock."""
    info = f"{name}-1.0.dist-info"
    files = {
        **files, f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }  # fmt: skip
    digests = {path: base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=") for path, content in files.items()}
    record = "".join(f"{path},sha256={digests[path]},{len(content)}\n" for path, content in files.items()) + f"{info}/RECORD,,\n"
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as packed:
        for member, content in {**files, f"{info}/RECORD": record.encode()}.items():
            packed.writestr(member, content)
    return locks.Wheel(name, "1.0", hashlib.sha256(path.read_bytes()).hexdigest(), path.name)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose pool has every wheel of a small lock file."""
    (tmp_path / "locks").mkdir()
    (tmp_path / "folder/pool").mkdir(parents=True)
    monkeypatch.setattr(locks, "LOCKS", tmp_path / "locks")
    pool = tmp_path / "folder/pool"
    locks.write("client", TARGET, [wheel(pool, "leaf", {"leaf/__init__.py": b"x = 1\n"}), wheel(pool, "pip", {"pip/__init__.py": b""})])
    return tmp_path / "folder"


def test_an_archive_holds_what_the_lock_says_and_nothing_else(folder: Path) -> None:
    (folder / "pool/other-1.0-py3-none-any.whl").write_bytes(b"of another lock")
    archive, new = build.pack("client", TARGET, folder)
    assert new
    with tarfile.open(archive) as tar:
        names = {Path(name).name: name for name in tar.getnames()}
        requirements = tar.extractfile(names["requirements.txt"])
        assert requirements is not None
        lines = requirements.read().decode().splitlines()
    assert set(names) == {"requirements.txt", "leaf-1.0-py3-none-any.whl", "pip-1.0-py3-none-any.whl"}
    assert lines == [item.line() for item in locks.read("client", TARGET)]
    assert {Path(name).parent.name for name in names.values()} == {archive.stem}, "one folder, so that two archives unpack side by side"


def test_equal_locks_make_equal_archives_whatever_the_release(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive, _ = build.pack("client", TARGET, folder)
    content = archive.read_bytes()
    archive.unlink()
    for path in (folder / "pool").iterdir():
        os.utime(path, (1, 1))
    monkeypatch.setattr(build, "version", lambda: "9.9.9+another")
    again, new = build.pack("client", TARGET, folder)
    assert (again, new) == (archive, True)
    assert again.read_bytes() == content
    assert build.pack("client", TARGET, folder) == (archive, False)


def test_another_lock_is_another_archive_and_another_folder(folder: Path) -> None:
    first, _ = build.pack("client", TARGET, folder)
    digest = locks.digest("client", TARGET)
    locks.write("client", TARGET, locks.read("client", TARGET)[:1])
    second, _ = build.pack("client", TARGET, folder)
    assert locks.digest("client", TARGET) != digest
    assert first != second
    assert digest in first.name


def test_a_wheel_that_is_not_what_the_lock_says_is_not_packed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "pool/leaf-1.0-py3-none-any.whl").write_bytes(b"something else")
    monkeypatch.setattr(build, "_pip", lambda *_: None)  # nothing better is to be had
    with pytest.raises(ValueError, match=r"leaf-1.0-py3-none-any.whl is not what the lock file says"):
        build.pack("client", TARGET, folder)
    assert not list(folder.glob("*.tar*"))


def test_the_space_that_is_asked_for_is_what_an_installation_takes(tmp_path: Path) -> None:
    modules = {f"leaf/module_{number}.py": f"values = {list(range(200 * number))}\n".encode() for number in range(1, 40)}
    item = wheel(tmp_path, "leaf", {**modules, "leaf/data.bin": bytes(3_000_000)})
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-index",
            "--no-deps",
            "--target",
            tmp_path / "there",
            tmp_path / item.file,
        ],
        check=True,
    )
    taken = sum(path.stat().st_blocks * 512 for path in (tmp_path / "there").rglob("*"))
    assert taken * 0.9 <= build.installed(tmp_path / item.file) <= taken * 1.15


def test_old_archives_and_wheels_go_and_the_newest_stay(folder: Path) -> None:
    names = [f"client-cp311-x86_64-{number:012d}.tar" for number in range(4)] + ["server-cp311-x86_64-000000000000.tar"]
    names += [f"bramble_fl-0.1.0+{number:012d}-py3-none-any.whl" for number in range(7)] + ["client-cp311-x86_64-0.1.0+abc.tar"]
    for age, name in enumerate(names):
        (folder / name).touch()
        os.utime(folder / name, (1000 + age if not name.endswith("abc.tar") else 1, 1000 + age if not name.endswith("abc.tar") else 1))
    build._prune(folder)
    left = {path.name for path in folder.iterdir() if path.is_file()}
    assert left == {*names[2:5], *names[7:12]}, "also what a release before these names left is gone"


def test_the_command_tells_a_play_all_that_a_host_has_to_know(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build, "version", lambda: "9.9.9+another")
    own = build.own_wheel(folder)
    wheel(folder, "bramble_fl", {"bramble/__init__.py": b""})
    (folder / "bramble_fl-1.0-py3-none-any.whl").rename(own)
    monkeypatch.setattr(sys, "argv", ["build", "--folder", str(folder), "client-cp311-x86_64"])
    assert build.main() == 0
    told = json.loads(capsys.readouterr().out)
    packages = told["packages"]["client-cp311-x86_64"]
    assert packages["name"] == f"{locks.digest('client', TARGET)}-cp311-x86_64"
    assert packages["pip"] == "pip-1.0-py3-none-any.whl"
    for item in (packages, told["wheel"]):
        assert hashlib.sha256(Path(item["path"]).read_bytes()).hexdigest() == item["sha256"]
        assert item["mb"] >= 1
        assert item["installed_mb"] >= 1


def test_two_plays_of_one_machine_do_not_build_in_one_folder_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "version", lambda: "9.9.9+another")
    build.own_wheel(folder).write_bytes(b"")
    monkeypatch.setattr(sys, "argv", ["build", "--folder", str(folder)])
    monkeypatch.setattr(build, "_described", lambda *_: {})
    second = threading.Thread(target=build.main)
    with build.alone(folder):
        second.start()
        inode = (folder / ".lock").stat().st_ino
        wait_for(lambda: re.search(rf"-> FLOCK .*:{inode} ", Path("/proc/locks").read_text()), "the second to wait for the first")
        assert second.is_alive()
    second.join(30)
    assert not second.is_alive()
