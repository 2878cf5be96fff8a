"""What people meet who come to the repository: workflow, hooks, templates, updates. Each file is what its reader takes, and true."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import editorconfig
import pytest
import yaml  # type: ignore[import-untyped]

from tests.packaging.conftest import ROOT, project_files

FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def load(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text("utf-8"))


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ("github-workflows", ".github/workflows/ci.yml"),
        ("renovate", ".github/renovate.json"),
        ("compose-spec", "deploy/containers/compose.yml"),
        *[("github-issue-config" if form.stem == "config" else "github-issue-forms", str(form.relative_to(ROOT))) for form in FORMS],
    ],
)
def test_its_reader_understands_it(schema: str, path: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def parts() -> set[str]:
    [alternatives] = re.findall(r"case \$part in (.+?)\) ;;", (ROOT / ".ci" / "run").read_text("utf-8"))
    return set(alternatives.split(" | "))


def test_the_jobs_are_parts_and_no_part_is_left_out() -> None:
    jobs = load(".github/workflows/ci.yml")["jobs"]
    rows = [row for job in jobs.values() for row in job["strategy"]["matrix"]["include"]]
    assert all(any(step.get("run") == ".ci/run ${{ matrix.part }}" for step in job["steps"]) for job in jobs.values())
    assert {row["part"] for row in rows} == parts()
    default = re.search(r"^\[ \$# -gt 0 \] \|\| set -- (.+)$", (ROOT / ".ci" / "run").read_text("utf-8"), re.M)
    assert default
    assert {row["part"] for row in rows if row["python"] == "3.11"} == set(default[1].split()), "3.11 has what a run without a name has"


def test_the_parts_run_targets_that_exist() -> None:
    commands = re.findall(r"\bmake ([a-z -]+?)(?= \|\| | ARGS| ;;)", (ROOT / ".ci" / "run").read_text("utf-8"))
    assert len(commands) >= len(parts())
    for targets in commands:
        subprocess.run(["make", "-n", *targets.split()], cwd=ROOT, check=True, capture_output=True)


def test_an_unknown_part_is_refused_before_anything_runs() -> None:
    done = subprocess.run([".ci/run", "check", "chekc"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "There is no part chekc; there are check, fast, test and fleet.\n"


@pytest.mark.parametrize("fails", [None, "test", "test-fleet"])
def test_the_fleets_tests_run_beside_the_others_and_what_fails_of_either_is_a_failure(fails: str | None, tmp_path: Path) -> None:
    # Each waits until the other has started: one after the other, neither would end.
    make = f"""#!/bin/sh
    touch {tmp_path}/$1.started
    while [ ! -e {tmp_path}/test.started ] || [ ! -e {tmp_path}/test-fleet.started ]; do sleep 0.01; done
    echo "this is $1"
    [ "$1" != {fails} ]
    """
    for name, script in (("make", make), ("apt-get", "#!/bin/sh\n"), ("sudo", "#!/bin/sh\n")):
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([".ci/run", "test", "fleet"], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode == 0) == (fails is None), done.stderr
    assert re.sub(r"(?m)^make: .*\n", "", done.stdout) == "this is test\nThe fleet's tests, which ran beside those:\nthis is test-fleet\n"


def test_the_hooks_are_the_checks() -> None:
    entries = [hook["entry"] for hook in load(".pre-commit-config.yaml")["repos"][0]["hooks"]]
    hooks = {re.sub(r"^sh -c '(.*)'$", r"\1", entry).removesuffix(" --force-exclude") for entry in entries}
    lines = subprocess.run(["make", "-n", "check"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    ours = [line for line in lines if re.match(r"(cd ansible && \.\./)?\.venv/bin/(?!pip)", line)]
    checks = {line.removesuffix(" .").removesuffix(" --check") for line in ours}
    assert hooks == checks


def test_a_hook_stops_a_bad_commit(tmp_path: Path) -> None:
    for name in (".pre-commit-config.yaml", "pyproject.toml"):
        (tmp_path / name).write_text((ROOT / name).read_text("utf-8"), "utf-8")
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parents[1])
    (tmp_path / "bad.py").write_text("import os\n")
    subprocess.run("git init --quiet && git add bad.py pyproject.toml .pre-commit-config.yaml", shell=True, cwd=tmp_path, check=True)
    command = [sys.executable, "-m", "pre_commit", "run", "ruff-check", "--all-files"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "F401" in done.stdout


@pytest.mark.parametrize("form", [form for form in FORMS if form.stem != "config"], ids=lambda path: str(path.stem))
def test_a_form_names_what_there_is(form: Path) -> None:
    for name in re.findall(r"[\w/]+\.md", form.read_text("utf-8")):
        assert (ROOT / name).exists(), name


def test_updates_reach_every_pin_and_leave_the_hosts_locks_alone() -> None:
    settings = json.loads((ROOT / ".github" / "renovate.json").read_text("utf-8"))
    [pattern] = settings["pip_requirements"]["managerFilePatterns"]
    pins = {path.name for path in ROOT.glob("constraints*.txt")}
    assert {name for name in pins if re.search(pattern.strip("/"), name)} == pins
    assert settings["ignorePaths"] == ["ansible/locks/**"]
    for rule in settings["packageRules"]:
        for name in rule.get("matchFileNames", []):
            text = (ROOT / name).read_text("utf-8").lower()
            assert all(f"{package}==" in text for package in rule["matchPackageNames"]), "a rule for what is not there"


TEXTS = {".py", ".md", ".yml", ".yaml", ".toml", ".txt", ".json", ".css", ".js", ".html", ".svg", ".service", ".j2", ".cfg", ""}


def test_every_file_is_as_the_editors_are_told() -> None:
    wrong = []
    for name in project_files():
        path = ROOT / name
        if path.suffix not in TEXTS:
            continue
        wanted = editorconfig.get_properties(str(path))
        text = path.read_bytes().decode(wanted["charset"])
        lines = text.split("\n")
        if "\r" in text or (text and not text.endswith("\n")):
            wrong.append(f"{name}: its lines end otherwise")
        if any(line != line.rstrip(" \t") for line in lines):
            wrong.append(f"{name}: blanks at the end of a line")
        if wanted["indent_style"] == "space" and any(line.startswith("\t") for line in lines):
            wrong.append(f"{name}: tabs")
    assert not wrong
