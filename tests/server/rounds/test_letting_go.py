"""A round that is over: its file stays while some client's latest update is in it, and the server need not look anything up for that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bramble_server.rounds.archive import FOLDER, Archive
from bramble_server.store import models
from tests.server.office import Office


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path)
    yield office
    office.close()


def files(folder: Path) -> set[int]:
    return {int(path.stem) for path in (folder / FOLDER).glob("*.round")}


def test_neither_the_store_nor_the_folder_is_searched(office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    office.join("a", "b")
    first = office.committed("a", "b")
    searched: list[str] = []
    monkeypatch.setattr(models, "rounds_of_updates", lambda _: searched.append("store"))
    monkeypatch.setattr(Archive, "keep", lambda *_: searched.append("folder"))
    second = office.coordinator.start_round().round
    office.deliver("a", second)
    office.refuse("b", second)
    assert files(tmp_path) == {first, second}, "b's latest update is in the former"
    third = office.committed("a", "b")
    assert files(tmp_path) == {third}
    fourth = office.coordinator.start_round().round
    office.refuse("a", fourth)
    office.refuse("b", fourth)
    assert files(tmp_path) == {third}, "of an abandoned one nothing is left"
    assert searched == []


def test_what_could_not_be_deleted_is_tried_again_at_the_next_end(office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    office.join("a", "b")
    first = office.committed("a", "b")
    whole = Path.unlink

    def refused(path: Path, missing_ok: bool = False) -> None:
        if path.stem == str(first):
            raise PermissionError(1, "Operation not permitted")
        whole(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refused)
        second = office.committed("a", "b")
        assert files(tmp_path) == {first, second}
    third = office.committed("a", "b")
    assert files(tmp_path) == {third}
