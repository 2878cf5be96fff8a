"""Switching releases on a host's disk, without a host: files go and come, links move, former layouts are adopted."""

from __future__ import annotations

import getpass
import grp
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.plugins import module_on

UNIT = "bramble-client.service"


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    return module_on(tmp_path, monkeypatch, "bramble_release")


def installed(root: Path, name: str, files: dict[str, str], python: str = f"python{sys.version_info[0]}.{sys.version_info[1]}") -> Path:
    folder = root / "opt/bramble/client/releases" / name
    (folder / "lib" / python).mkdir(parents=True)
    (folder / ".complete").touch()
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    return folder


A = {f"etc/bramble/{UNIT}.inputs": "", "etc/bramble/client.toml": "a", "etc/bramble/sensors.toml": "a"}
B = {f"etc/bramble/{UNIT}.inputs": "", "etc/bramble/client.toml": "b"}


def test_settings_come_and_go_with_their_release(release: Any, tmp_path: Path) -> None:
    installed(tmp_path, "A", A)
    installed(tmp_path, "B", B)
    releases = release.Releases("client")
    releases.go_live("A", [UNIT])
    assert (releases.current, (tmp_path / "etc/bramble/sensors.toml").read_text()) == ("A", "a")
    releases.go_live("B", [UNIT])
    assert (releases.current, (tmp_path / "etc/bramble/client.toml").read_text()) == ("B", "b")
    assert not (tmp_path / "etc/bramble/sensors.toml").exists(), "what only the other release brought is taken away"
    releases.go_live("A", [UNIT])
    assert (tmp_path / "etc/bramble/client.toml").read_text() == (tmp_path / "etc/bramble/sensors.toml").read_text() == "a"


def test_a_note_of_what_a_unit_was_started_with_does_not_outlive_the_switch(release: Any, tmp_path: Path) -> None:
    """Release 0.1 writes none: back at the release of before, its process would be taken for that one's."""
    installed(tmp_path, "A", A)
    installed(tmp_path, "0.1", {"etc/bramble/client.toml": "of 0.1"})
    releases, note = release.Releases("client"), tmp_path / "run/bramble" / UNIT
    releases.go_live("A", [UNIT])
    note.parent.mkdir(parents=True)
    note.write_text("A")
    releases.go_live("A", [UNIT])
    assert note.exists(), "it runs on"
    releases.go_live("0.1", [UNIT])
    assert not note.exists()


def test_what_was_cut_in_the_middle_is_finished(release: Any, tmp_path: Path) -> None:
    installed(tmp_path, "A", A)
    installed(tmp_path, "B", B)
    releases = release.Releases("client")
    releases.go_live("A", [UNIT])
    (tmp_path / "etc/bramble/client.toml").write_text("b")  # cut here: the link is still A's, and A's other file is there
    releases.go_live("B", [UNIT])
    assert not release.not_live(releases.folder("B"))
    assert not releases.others_files("B")


def test_what_an_operator_put_there_stays(release: Any, tmp_path: Path) -> None:
    installed(tmp_path, "A", A)
    installed(tmp_path, "B", B)
    own = tmp_path / "etc/systemd/system/bramble-client.service.d/own.conf"
    own.parent.mkdir(parents=True)
    own.write_text("[Service]")
    for name in ("A", "B", "A"):
        release.Releases("client").go_live(name, [UNIT])
    assert own.exists()


def test_a_release_of_the_former_layout_gets_what_it_ran_with(release: Any, tmp_path: Path) -> None:
    installed(tmp_path, "0.1", {})
    (tmp_path / "etc/bramble").mkdir(parents=True)
    (tmp_path / "etc/bramble/client.toml").write_text("of 0.1")
    release.point(tmp_path / "opt/bramble/client/current", "0.1")
    installed(tmp_path, "B", B)
    releases = release.Releases("client")
    assert releases.adopt()
    assert not releases.adopt(), "once"
    releases.go_live("B", [UNIT])
    releases.go_live("0.1", [UNIT])
    assert (tmp_path / "etc/bramble/client.toml").read_text() == "of 0.1"


def test_a_release_for_another_python_is_none_to_go_back_to(release: Any, tmp_path: Path) -> None:
    installed(tmp_path, "A", A)
    installed(tmp_path, "old", A, python="python2.7")
    releases = release.Releases("client")
    assert (releases.usable("A"), releases.usable("old"), releases.usable(""), releases.usable("gone")) == (True, False, False, False)


def test_three_stay_and_never_goes_what_runs_or_ran_before(release: Any, tmp_path: Path) -> None:
    for number, name in enumerate(("1", "2", "3", "4", "5", "unfinished")):
        mark = installed(tmp_path, name, A) / ".complete"
        os.utime(mark, (number, number))
    (tmp_path / "opt/bramble/client/releases/unfinished/.complete").unlink()
    releases = release.Releases("client")
    releases.go_live("1", [UNIT])
    releases.remember("2")
    releases.prune()
    assert {folder.name for folder in releases.all} == {"1", "2", "5"}


def test_a_file_is_replaced_in_one_step_and_keeps_to_its_mode(release: Any, tmp_path: Path) -> None:
    path = tmp_path / "etc/bramble/token"
    release.write(path, b"secret", "0600", f"{getpass.getuser()}:{grp.getgrgid(os.getgid()).gr_name}")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"secret", 0o600)
    assert [file.name for file in path.parent.iterdir()] == ["token"]


def test_a_release_that_did_well_before_and_runs_is_not_at_fault(release: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, state = installed(tmp_path, "A", A), {"state": "active", "reload": False, "given": "same"}
    monkeypatch.setattr(release, "units", lambda names: {name: state for name in names})
    releases = release.Releases("client")
    assert not releases.at_work("A", []), "it has not passed its gate"
    (folder / ".proved").touch()
    assert releases.at_work("A", [])
    state["state"] = "activating"
    assert not releases.at_work("A", []), "it does not start"
