"""What the clients of a host are called there: one set of names, from the inventory and from what a release runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.plugins import load

filters = load("bramble_clients_filter", "filter/bramble_clients.py")

ANSIBLE = Path(__file__).parents[2] / "ansible"
LONG = "the-one-in-the-attic-behind-the-chimney"


def test_the_only_one_of_a_host_has_the_plain_names() -> None:
    assert filters.bramble_clients("attic") == filters.bramble_clients("attic", []) == [
        {
            "id": "attic", "name": "client", "unit": "bramble-client.service", "file": "bramble-client.service",
            "data": "/var/lib/bramble-client",
        }
    ]  # fmt: skip


def test_each_of_several_has_its_own_in_them_be_it_alone() -> None:
    for several in (["a"], ["a", "b"]):
        found = filters.bramble_clients("attic", several)
        assert [client["id"] for client in found] == several
        assert found[0] == {
            "id": "a", "name": "client-a", "unit": "bramble-client@a.service", "file": "bramble-client@.service",
            "data": "/var/lib/bramble-client/a",
        }  # fmt: skip


@pytest.mark.parametrize("name", ["a" * 23, "a" * 24, LONG, "a" * 63])
def test_no_user_has_a_name_too_long_for_the_system(name: str) -> None:
    (client,) = filters.bramble_clients("attic", [name])
    assert len(client.get("user", f"bramble_{name}")) <= 31
    assert ("user" in client) == (len(name) > 23)


def test_the_users_of_long_names_differ() -> None:
    one, other = filters.bramble_clients("attic", [f"{LONG}-1", f"{LONG}-2"])
    assert one["user"] != other["user"]


@pytest.mark.parametrize("several", [[], ["a"], ["a", LONG]])
def test_the_units_of_a_release_tell_whom_it_runs(several: list[str]) -> None:
    clients = filters.bramble_clients("attic", several)
    assert filters.bramble_clients_of([client["unit"] for client in clients], "attic") == clients


def test_nothing_else_in_the_plays_tells_the_only_client_of_a_host_from_several() -> None:
    known = {"group_vars/all.yml", "roles/client/README.md", "roles/client/meta/argument_specs.yml"}
    known |= {"plugins/action/bramble_variables.py"}  # which judges what the inventory says
    files = [*ANSIBLE.glob("*.yml"), *(path for folder in ("group_vars", "plugins", "roles") for path in (ANSIBLE / folder).rglob("*.*"))]
    files = [path for path in files if path.suffix in (".yml", ".j2", ".py", ".md")]
    asking = {str(path.relative_to(ANSIBLE)) for path in files if re.search(r"\bclient_instances\b", path.read_text("utf-8"))}
    assert asking == known
