"""The plays pass Ansible's own linter (``make check-ansible``) as they are."""

from __future__ import annotations

from pathlib import Path

ANSIBLE = Path(__file__).parents[2] / "ansible"


def test_nothing_is_kept_from_the_linter() -> None:
    assert not [path for path in ANSIBLE.parent.rglob(".ansible-lint*") if ".venv" not in str(path)]
    assert not [path for path in ANSIBLE.rglob("*.yml") if "noqa" in path.read_text("utf-8")]
