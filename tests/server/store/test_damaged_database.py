"""A server whose database has damaged pages: refused in a sentence at a start, told in sentences while it runs, and never begun anew."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from bench import damage
from bramble_server.store import Store, StoreError, meta
from tests.server.process import NotReady, ServerProcess

KINDS = [kind for kind in damage.KINDS if kind != "another page"]
"""A page that stands in another's place may be a whole one of the same table; then nothing can tell."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a history of some eighty pages."""
    path = tmp_path_factory.mktemp("whole") / "bramble.db"
    store = Store(path)
    with store.writing() as connection:
        for i in range(3000):
            meta.put(connection, f"fact {i}", {"number": i, "text": "x" * 50})
    store.close()
    return path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(2))
def test_damage_is_found_at_the_start_and_the_file_is_left_as_it_is(whole: Path, tmp_path: Path, kind: str, seed: int) -> None:
    path = tmp_path / "bramble.db"
    shutil.copy(whole, path)
    damage.damage(path, random.Random(seed), kind, 12)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"bramble\.db is damaged.*: stop the server, move the file away and restore a copy"):
        Store(path)
    assert path.read_bytes() == before
    assert {file.name for file in tmp_path.iterdir()} <= {"bramble.db", "bramble.db-wal", "bramble.db-shm", "bramble.db.lock"}


def test_a_server_refuses_to_start_on_it_with_one_sentence(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    shutil.copy(whole, tmp_path / "data" / "bramble.db")
    damage.damage(tmp_path / "data" / "bramble.db", random.Random(1), "noise", 12)
    with pytest.raises(NotReady) as caught:
        ServerProcess(tmp_path)
    assert caught.value.code not in (0, -11)
    assert "is damaged" in caught.value.said
    assert len(caught.value.said.strip().splitlines()) == 1
    assert "Traceback" not in caught.value.said


@pytest.mark.parametrize("kind", ["zeros", "noise"])
def test_damage_while_it_runs_is_told_in_sentences_and_the_server_stays(tmp_path: Path, kind: str) -> None:
    with ServerProcess(tmp_path, "--mode", "evaluation") as server:
        path = server.folder / "data" / "bramble.db"
        shutil.copy(path, tmp_path / "kept.db")
        with path.open("r+b") as file:  # all pages but the first; the log that holds the newest ones is emptied
            size = path.stat().st_size
            file.seek(damage.PAGE)
            file.write(bytes(size - damage.PAGE) if kind == "zeros" else random.Random(1).randbytes(size - damage.PAGE))
        path.with_name("bramble.db-wal").open("wb").close()
        reads = ("/rounds", "/status", "/clients", "/model/clients", "/data/all", "/metrics", "/healthz")
        told = {path: server.request("GET", path)[0] for path in reads} | {
            path: server.request("POST", path)[0] for path in ("/generate", "/")
        }
        assert set(told.values()) <= {200, 403, 404, 409, 503}, told
        assert 503 in told.values()
        assert server.process.poll() is None
        assert "Traceback" not in server.log()
