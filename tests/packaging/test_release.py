"""`make release`: what has to be true before a version gets its tag, and that nothing is left behind where it is not."""

from __future__ import annotations

import subprocess

from tests.packaging.conftest import ROOT, Repository, version


def test_a_release_is_built_and_tagged(released: Repository) -> None:
    number = version(released.folder)
    assert released.git("tag", "--list").split() == [f"v{number}"]
    assert released.git("cat-file", "-t", f"v{number}").strip() == "tag", "annotated, so that it says who released and when"
    assert released.git("rev-parse", f"v{number}^{{}}") == released.git("rev-parse", "HEAD")
    assert sorted(path.name for path in (released.folder / "dist").iterdir()) == [
        f"bramble_fl-{number}-py3-none-any.whl",
        f"bramble_fl-{number}.tar.gz",
    ]
    assert released.git("status", "--porcelain") == ""


def test_the_same_version_is_not_released_twice(released: Repository) -> None:
    done = released.release("--tag")
    assert done.returncode == 1
    assert done.stderr == f"v{version(released.folder)} is tagged already; raise the version in pyproject.toml.\n"


def refused(repository: Repository) -> str:
    done = repository.release("--tag")
    assert done.returncode == 1
    assert not done.stdout
    assert repository.git("tag", "--list") == ""
    assert not (repository.folder / "dist").exists()
    return done.stderr


def test_a_tree_that_is_not_clean_is_not_released(small: Repository) -> None:
    small.describe(version(small.folder))
    (small.folder / "new.py").write_text("")
    assert refused(small) == "The tree is not clean (CHANGELOG.md and 1 more); commit, stash or remove that first.\n"


def test_a_version_that_the_changelog_does_not_describe_is_not_released(small: Repository) -> None:
    project = small.folder / "pyproject.toml"
    project.write_text(project.read_text("utf-8").replace(f'version = "{version(small.folder)}"', 'version = "7.6.5"'), "utf-8")
    small.commit()
    assert refused(small).startswith("CHANGELOG.md has no entry for 7.6.5, the version in pyproject.toml; put a heading '## [7.6.5] - ")
    changelog = small.folder / "CHANGELOG.md"
    changelog.write_text(changelog.read_text("utf-8") + "\n## [7.6.5] - 2030-01-31\n\n## [7.6.4] - 2030-01-01\n\n- Something.\n", "utf-8")
    small.commit()
    assert "has no entry for 7.6.5" in refused(small), "an empty one is none"


def test_what_an_index_would_not_take_is_not_tagged(small: Repository) -> None:
    small.describe(version(small.folder))
    (small.folder / "README.md").write_text("")
    small.commit()
    said = refused(small)
    assert said.startswith("Checking what was built failed:\n")
    assert "`long_description` missing" in said, "README.md says nothing"


def test_what_cannot_be_built_is_not_tagged(small: Repository) -> None:
    small.describe(version(small.folder))
    (small.folder / "README.md").write_text("# Something\n")
    project = small.folder / "pyproject.toml"
    project.write_text(project.read_text("utf-8").replace('license-files = ["LICENSE"]', "license-files = 7"), "utf-8")
    small.commit()
    assert refused(small).startswith("Building failed:\n")


def test_the_targets_run_it() -> None:
    for target, last in (("dist", "-m deploy.release"), ("release", "-m deploy.release --tag")):
        said = subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True, text=True).stdout
        assert said.strip().endswith(last)
