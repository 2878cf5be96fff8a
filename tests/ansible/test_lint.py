"""The plays pass Ansible's own linter (``make check-ansible``) as they are."""

from __future__ import annotations

from pathlib import Path

ANSIBLE = Path(__file__).parents[2] / "ansible"


def test_nothing_is_kept_from_the_linter() -> None:
    ours = [folder for folder in ANSIBLE.parent.iterdir() if not folder.name.startswith(".venv")]
    assert not [path for folder in ours for path in (folder, *folder.rglob(".ansible-lint*")) if path.name.startswith(".ansible-lint")]
    assert not [path for path in ANSIBLE.rglob("*.yml") if "noqa" in path.read_text("utf-8")]
