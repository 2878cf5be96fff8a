"""What each role says of itself: its README is made from its argument specs, which agree with its defaults, and its metadata is whole."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "ansible"))

import readmes  # noqa: E402

each_role = pytest.mark.parametrize("role", readmes.roles(), ids=lambda role: role.name)


def test_every_role_has_argument_specs() -> None:
    assert {role.name for role in readmes.roles()} == {path.name for path in readmes.ROLES.iterdir() if path.is_dir()}


@each_role
def test_its_readme_is_made_from_them(role: Path) -> None:
    assert (role / "README.md").read_text("utf-8") == readmes.text(role), "cd ansible && python -m readmes"


@each_role
def test_they_agree_with_its_defaults(role: Path) -> None:
    path = role / "defaults/main.yml"
    defaults = yaml.safe_load(path.read_text("utf-8")) if path.exists() else {}
    entries = yaml.safe_load((role / "meta/argument_specs.yml").read_text("utf-8"))["argument_specs"].values()
    said = {name: option for entry in entries for name, option in (entry.get("options") or {}).items()}
    assert defaults.keys() <= said.keys(), "a default of nothing that is described"
    for name in defaults.keys() & said.keys():
        if "default" in said[name] and "{{" not in str(defaults[name]):
            assert said[name]["default"] == defaults[name], name


@each_role
def test_its_metadata_names_ansible_and_platforms(role: Path) -> None:
    about = yaml.safe_load((role / "meta/main.yml").read_text("utf-8"))["galaxy_info"]
    assert about["author"] == "Bramble"
    assert about["license"] == "MIT"
    assert about["platforms"] == [{"name": "Debian", "versions": ["bookworm", "trixie"]}]
    minimum = re.findall(r'minimum: "([\d.]+)"', (ROOT / "ansible/first.yml").read_text("utf-8"))
    assert [about["min_ansible_version"]] == minimum, "what the play insists on"
    pinned = re.findall(r"ansible-core==(\d+\.\d+)\.", (ROOT / "constraints-fleet.txt").read_text("utf-8"))
    assert pinned == minimum, "what it is tested with"
