"""No update is acknowledged before a sync covers it, and those that come while one runs share the next."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bramble_protocol.messages import Delivery, Timing, TrainingComplete
from bramble_server.rounds.roundfile import RoundFile, RoundFileError
from bramble_server.store import Store
from tests.server.office import Office
from tests.server.process import LAYOUT
from tests.waiting import wait_for


def of_a_round(handle: int) -> bool:
    """Whether a file is an open round's; the database's log is brought onto the disk in the same way."""
    return "/rounds/" in os.readlink(f"/proc/self/fd/{handle}")


class Diary:
    """What happens to the files and to clients, in its order. The first sync can be held up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entries: list[str] = []
        self.may_sync = threading.Event()
        self.may_sync.set()
        self.syncing = threading.Event()
        append, sync = RoundFile.append, os.fdatasync

        def appended(file: RoundFile, about: dict[str, str], *weights: object) -> object:
            record = append(file, about, *weights)  # type: ignore[arg-type]
            if about.get("kind") == "update":
                self.entries.append(f"write {about['client']}")
            return record

        def synced(handle: int) -> None:
            if not of_a_round(handle):
                return sync(handle)
            self.syncing.set()
            self.may_sync.wait()
            sync(handle)
            return self.entries.append("sync")

        monkeypatch.setattr(RoundFile, "append", appended)
        monkeypatch.setattr(os, "fdatasync", synced)

    def watch(self, store: Store) -> None:
        """Note the store's commits, each of which is a sync too."""
        dialect = store._writer.dialect
        commit = dialect.do_commit

        def committed(connection: Any) -> None:
            commit(connection)
            if self.uncovered():
                self.entries.append("commit")

        dialect.do_commit = committed  # type: ignore[assignment, method-assign]

    def uncovered(self) -> set[str]:
        """Return whose update is in the file, and was not brought onto the disk."""
        latest = max((index for index, entry in enumerate(self.entries) if entry in ("sync", "commit")), default=-1)
        return {entry.removeprefix("write ") for entry in self.entries[latest + 1 :] if entry.startswith("write")}

    def deliver(self, office: Office, client: str, number: int) -> threading.Thread:
        """Deliver as the connection of a client does, which sends its acknowledgement when it is back."""
        complete = TrainingComplete(number, LAYOUT, "float32", np.ones(LAYOUT.size, np.float32), 10, {}, Timing(1.0, 2.0, 3.0))

        def connection() -> None:
            try:
                office.coordinator.deliver(client, Delivery.from_wire(complete.to_wire(), LAYOUT))
            except RoundFileError:
                self.entries.append(f"none for {client}")
            else:
                self.entries.append(f"acknowledge {client}")

        thread = threading.Thread(target=connection)
        thread.start()
        return thread

    def too_early(self) -> list[str]:
        """Return what was acknowledged before a sync that came after its write."""
        covered, written, wrong = set[str](), set[str](), list[str]()
        for entry in self.entries:
            word, _, client = entry.partition(" ")
            match word:
                case "write":
                    written.add(client)
                case "sync" | "commit":
                    covered |= written
                case "acknowledge" if client not in covered:
                    wrong.append(client)
        return wrong


@pytest.fixture
def diary(monkeypatch: pytest.MonkeyPatch) -> Diary:
    return Diary(monkeypatch)


@pytest.fixture
def office(tmp_path: Path, diary: Diary) -> Iterator[Office]:
    office = Office(tmp_path)
    diary.watch(office.store)
    yield office
    diary.may_sync.set()
    office.close()


def names(count: int) -> list[str]:
    return [f"pi-{index}" for index in range(count)]


def waiting(office: Office, count: int) -> Callable[[], bool]:
    return lambda: office.coordinator._writer._jobs.qsize() == count


def test_one_after_the_other_each_has_a_sync_of_its_own_and_the_last_shares_that_of_the_commit(office: Office, diary: Diary) -> None:
    office.join(*names(3))
    number = office.coordinator.start_round().round
    for client in names(3):
        diary.deliver(office, client, number).join()
    syncs = zip(names(3), ("sync", "sync", "commit"), strict=True)
    assert diary.entries == [entry for client, sync in syncs for entry in (f"write {client}", sync, f"acknowledge {client}")]


def test_what_comes_while_a_sync_runs_is_acknowledged_after_the_next_which_is_one_for_all(office: Office, diary: Diary) -> None:
    office.join(*names(20))
    number = office.coordinator.start_round().round
    diary.may_sync.clear()
    first, *others = names(20)
    threads = [diary.deliver(office, first, number)]
    assert diary.syncing.wait(30)
    threads += [diary.deliver(office, client, number) for client in others]
    wait_for(waiting(office, 19), "all of them to wait")
    assert diary.entries == [f"write {first}"], "nobody was told anything"
    diary.may_sync.set()
    for thread in threads:
        thread.join()
    assert diary.too_early() == []
    assert sorted(diary.entries) == sorted(
        ["sync", "commit", *(f"{word} {client}" for client in names(20) for word in ("write", "acknowledge"))]
    )
    office.drain()
    assert office.record(number)["updates"] == 20


def test_of_a_sync_that_fails_nobody_hears_anything_and_all_count_when_they_come_again(
    office: Office, diary: Diary, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.join(*names(2))
    number = office.coordinator.start_round().round
    whole = os.fdatasync

    def broken(handle: int) -> None:
        if of_a_round(handle):
            raise OSError(5, "Input/output error")
        whole(handle)

    monkeypatch.setattr(os, "fdatasync", broken)
    for client in names(2):
        diary.deliver(office, client, number).join()
    assert [entry for entry in diary.entries if "write" not in entry] == ["none for pi-0", "none for pi-1"]
    assert office.coordinator.view.tasks["small"].waiting_for == ("pi-0", "pi-1")
    monkeypatch.setattr(os, "fdatasync", whole)
    diary.entries.clear()
    for client in names(2):
        diary.deliver(office, client, number).join()
    office.drain()
    assert diary.too_early() == []
    assert office.record(number)["updates"] == 2


def test_a_repeat_needs_no_sync(office: Office, diary: Diary) -> None:
    office.join(*names(2))
    number = office.coordinator.start_round().round
    for _ in range(2):
        diary.deliver(office, "pi-0", number).join()
    assert diary.entries == ["write pi-0", "sync", "acknowledge pi-0", "acknowledge pi-0"]


def test_two_of_one_client_in_one_group_count_once(office: Office, diary: Diary) -> None:
    office.join(*names(3))
    number = office.coordinator.start_round().round
    diary.may_sync.clear()
    threads = [diary.deliver(office, "pi-0", number)]
    assert diary.syncing.wait(30)
    threads += [diary.deliver(office, client, number) for client in ("pi-1", "pi-1", "pi-0")]
    wait_for(waiting(office, 3), "all of them to wait")
    diary.may_sync.set()
    for thread in threads:
        thread.join()
    assert [entry for entry in diary.entries if "write" in entry] == ["write pi-0", "write pi-1"]
    assert diary.too_early() == []
    assert office.coordinator.view.tasks["small"].waiting_for == ("pi-2",)
