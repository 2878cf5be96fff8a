"""What a person types wrong is refused in a sentence before any host is touched: no host is booted for it, hence the first file."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.fleet.controller import ROOT

PLAYBOOKS = ["deploy.yml", "rollback.yml", "reset.yml", "uninstall.yml"]
NOWHERE = {"ansible_connection": "local", "ansible_python_interpreter": "/nowhere/python3"}
"""A host on which nothing could be done, were it tried."""
FLEET = {"server": {"hosts": {"hub": NOWHERE}}, "clients": {"hosts": {"pi-1": NOWHERE, "pi-2": NOWHERE, "pi-3": NOWHERE}}}


def typed(folder: Path, playbook: str, *arguments: str, groups: Any = FLEET, **variables: Any) -> str:
    """Run a play that must fail; return what it says, on one line."""
    inventory = folder / "hosts.yml"
    inventory.write_text(json.dumps({"all": {"children": groups, "vars": variables}}))
    command: list[str | Path] = [ROOT / ".venv-fleet/bin/ansible-playbook", playbook, "-i", inventory, *arguments]
    done = subprocess.run(command, cwd=ROOT / "ansible", stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0, said
    assert "Look at every host" not in said
    return said


def test_an_old_ansible_is_told_so_and_what_to_install(tmp_path: Path) -> None:
    # Seen from a play that asks for more than there is: the sentence comes of the same comparison.
    asking = tmp_path / "asking.yml"
    asking.write_text((ROOT / "ansible/first.yml").read_text().replace('minimum: "2.19"', 'minimum: "9.1"'))
    said = typed(tmp_path, str(asking))
    assert "and Bramble's plays need 9.1 or newer: install the one they are tested with" in said.replace("''", "'")


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_every_play_begins_with_that_look(playbook: str) -> None:
    text = (ROOT / "ansible" / playbook).read_text("utf-8")
    assert text.index("import_playbook: first.yml") < text.index("\n  hosts:")
    assert text.index("import_playbook: lock.yml") < text.index("become: true"), "nothing is changed without the lock"


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        (
            "pi-1",
            "leaves out localhost and hub, without which nothing can be deployed (the release is made on localhost, and the server "
            "must know its clients): type --limit 'localhost,hub,pi-1'",
        ),
        ("!pi-3", "type --limit 'localhost,all,!pi-3'"),
        ("localhost,hub,pi1", "--limit names pi1, which is neither a host nor a group of the inventory: did you mean pi-1?"),
    ],
)
def test_a_limit_that_would_not_do_what_was_meant_is_said_to_be_one(tmp_path: Path, limit: str, sentence: str) -> None:
    assert sentence in typed(tmp_path, "deploy.yml", "--limit", limit).replace("''", "'")


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_every_play_looks_at_the_inventory_first_whatever_the_limit(tmp_path: Path, playbook: str) -> None:
    """Whatever is wrong in it, all of it is said at once; what can be is in test_variables.py."""
    two = {**FLEET, "clients": {"hosts": {"pi-1": NOWHERE, "Pi_1": NOWHERE}}}
    said = typed(tmp_path, playbook, "--limit", "localhost,hub,pi-1", groups=two, client_senors="mock", server_mode="evalution")
    assert "client_senors is not a variable of any role: did you mean client_sensors?" in said
    assert "server_mode must be one of: private, evaluation, got: evalution" in said
    assert "pi-1 and Pi_1 would both be pi-1 in the fleet" in said


@pytest.mark.parametrize(("playbook", "variable"), [("reset.yml", "reset_confirmed"), ("uninstall.yml", "uninstall_confirmed")])
def test_what_deletes_asks_also_for_one_host(tmp_path: Path, playbook: str, variable: str) -> None:
    assert f"Nothing was deleted: type yes, or pass -e {variable}=true." in typed(tmp_path, playbook, "--limit", "pi-1")


@pytest.mark.parametrize(
    ("hosts", "sentence"),
    [
        ("[server]\nhub server_tls=false\n[clients]\npi-1\n", "value of server_tls must be true or false, got the text: false"),
        ("[server]\nhub\n[clients]\n", "the group clients is missing or empty: list the Pis there"),
        ("[server]\nhub\nhub-2\n[clients]\npi-1\n", "the group server has 2 hosts: name the one host that runs the server"),
        ("[server]\n[client]\npi-1\n", "client is not a group of Bramble's: did you mean clients?"),
        ("", "the group server has 0 hosts: name the one host that runs the server"),
    ],
    ids=["a truth of INI", "no clients", "two servers", "a misspelt group", "nothing"],
)
def test_an_inventory_in_ini_form_is_read_and_judged_alike(tmp_path: Path, hosts: str, sentence: str) -> None:
    inventory = tmp_path / "hosts"
    inventory.write_text(hosts)
    assert sentence in typed(tmp_path, "deploy.yml", "-i", str(inventory), groups={})
