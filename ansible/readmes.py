"""Write each role's README.md from its argument specs, defaults and metadata: ``python -m readmes``, in this folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

ROLES = Path(__file__).parent / "roles"


def roles() -> list[Path]:
    """Return the roles' folders."""
    return sorted(path.parents[1] for path in ROLES.glob("*/meta/argument_specs.yml"))


def text(role: Path) -> str:
    """Return a role's README as it should be."""
    entries = dict(_read(role / "meta/argument_specs.yml")["argument_specs"])
    about, defaults = _read(role / "meta/main.yml")["galaxy_info"], _read(role / "defaults/main.yml")
    main = entries.pop("main")
    platforms = ", ".join(f"{item['name']} {' and '.join(item['versions'])}" for item in about["platforms"])
    lines = [
        f"# {role.name}",
        "",
        f"{main['short_description']}.",
        "",
        "A role of Bramble's play, see [Running a fleet](../../../docs/operations.md). "
        f"It needs ansible-core {about['min_ansible_version']} or newer; "
        f"hosts run {platforms}, or the Raspberry Pi OS of that name. Licence: {about['license']}.",
        *_table(main, defaults),
    ]
    for name, entry in entries.items():
        lines += ["", f"## {name}", "", f"`tasks_from: {name}.yml`. {entry['short_description']}.", *_table(entry, defaults)]
    return "\n".join([*lines, "", "Made by `python -m readmes` from `meta/` and `defaults/`.", ""])


def _read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text("utf-8")) or {} if path.exists() else {}


def _table(entry: Mapping[str, Any], defaults: Mapping[str, Any]) -> Iterator[str]:
    options = entry.get("options") or {}
    if not options:
        return
    yield from ("", "| variable | type | default | what |", "|---|---|---|---|")
    for name, option in options.items():
        kind = option.get("type", "str") + (f" of {option['elements']}" if "elements" in option else "")
        kind += f": {', '.join(map(str, option['choices']))}" if "choices" in option else ""
        default = option.get("default", defaults.get(name))
        if "default" not in option and isinstance(default, str) and "{{" in default:
            default = None  # it follows from others; the description says how
        shown = "required" if option.get("required") else "" if default is None else f"`{_value(default)}`"
        yield f"| `{name}` | {kind} | {shown} | {' '.join(str(option.get('description', '')).split())} |".replace("  |", " |")


def _value(default: object) -> str:
    return yaml.safe_dump(default, default_flow_style=True, width=1000).removesuffix("...\n").strip() if default != "" else "''"


def main() -> None:
    """Write what differs."""
    for role in roles():
        path, wanted = role / "README.md", text(role)
        if not path.exists() or path.read_text("utf-8") != wanted:
            path.write_text(wanted, "utf-8")
            print(f"wrote {path.relative_to(ROLES.parent)}")


if __name__ == "__main__":
    main()
