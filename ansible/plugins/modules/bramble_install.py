"""Get the files of releases and install them beside what runs. What a release is: roles/release/tasks/activate.yml."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.bramble_files import HOME, ROOT, described, difference, link, said, write

DOCUMENTATION = r"""
module: bramble_install
short_description: Get the files of releases and install them beside what runs
description:
  - C(fetched) clears away what earlier runs left unfinished, takes files that are on the host already, fetches the others, each against
    its digest, and returns which could not be had, and why.
  - C(installed) makes packages and releases of them, all components of the host in one round trip. A folder is marked complete when it
    is whole and on the card. On the controller the action of the same name adds the files that go to /etc.
  - C(cleared) takes away what has no such mark.
  - An installation that lost its play is ended first, for it would go on writing into what is made next.
options:
  state:
    description: What is to be done.
    type: str
    required: true
    choices: [fetched, installed, cleared]
  files:
    description: For C(fetched), each C(file) that is needed, with its C(sha256).
    type: list
    elements: dict
    default: []
  source:
    description: The address below which the server's host serves them, if it does.
    type: str
    default: ""
  releases:
    description: For C(installed), the name of the release of each component.
    type: dict
    default: {}
  packages:
    description: Per component the archive of its packages, its C(name) and C(file), and C(pip), the wheel that installs.
    type: dict
    default: {}
  unpack:
    description: The components whose packages are not there yet.
    type: list
    elements: str
    default: []
  wheel:
    description: The project's own, its C(file) and C(sha256).
    type: dict
    default: {}
  distribution:
    description: Per component what its release sees of the distribution's packages, C(none), C(all), or C(last), behind its own.
    type: dict
    default: {}
author: Bramble
"""

INCOMING, SERVED = HOME / "incoming", HOME / "served"
LOCK = Path("/run/bramble-install")
"""In a folder that only root can write to: it names a group of processes that is ended."""
UNIT = "bramble-install.service"
PYTHON = f"python{sys.version_info[0]}.{sys.version_info[1]}"
DEBIANS = Path("/usr/lib/python3/dist-packages")
# In a unit, behind what measures, which the next run can end.
PIP = [
    "systemd-run", "--quiet", "--wait", "--pipe", "--collect", f"--unit={UNIT}", "--nice=10", "--setenv=PIP_CONFIG_FILE=/dev/null",
    "--setenv=PIP_ROOT_USER_ACTION=ignore", "--setenv=PIP_DISABLE_PIP_VERSION_CHECK=1",
]  # fmt: skip
OPTIONS = ["install", "--quiet", "--no-index", "--no-deps", "--require-hashes"]


class StepFailed(Exception):
    """A step of an installation did not work out; holds what was said about it."""


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """End an installation that nobody waits for, and be the only one meanwhile."""
    with contextlib.suppress(PermissionError):  # who leads a session leads a group already
        os.setpgid(0, 0)
    with open(LOCK, "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            with contextlib.suppress(ValueError, ProcessLookupError):
                os.killpg(int(lock.read()), signal.SIGKILL)
            fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        said("systemctl", "stop", UNIT)
        yield


def clear() -> list[str]:
    """Delete what has no mark of being complete, by whatever run or release; what runs is never taken away."""
    gone = []
    for pattern in ("incoming", "*/incoming", "*/packages/*", "*/releases/*"):
        for folder in HOME.glob(pattern):
            running = folder.name == link(folder.parents[1] / "current") and folder.parent.name == "releases"
            if folder.is_dir() and not (folder / ".complete").exists() and not running:
                shutil.rmtree(folder)
                gone.append(str(folder.relative_to(HOME)))
    return gone


def digest(path: Path) -> str:
    """Return a file's digest, without holding all of it in memory."""
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def get(file: dict[str, str], source: str) -> str:
    """Have a file among what came in, from this host or from the server's; return why it cannot be had, or nothing."""
    place, why = INCOMING / file["file"], ""
    for here in [SERVED / file["file"], *HOME.glob(f"*/releases/*/{file['file']}")]:
        if here.exists() and digest(here) == file["sha256"]:
            os.link(here, place)
            return ""
    if source:
        unfinished = place.with_name(f"{place.name}.part")
        try:
            direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with direct.open(f"{source}/{urllib.parse.quote(file['file'])}", timeout=30) as answer, open(unfinished, "wb") as part:
                shutil.copyfileobj(answer, part, 1 << 20)
            if digest(unfinished) == file["sha256"]:
                unfinished.rename(place)
                return ""
            why = f"{file['file']} is not what the controller has"
        except OSError as error:
            why = str(getattr(error, "reason", error))
        with contextlib.suppress(FileNotFoundError):
            unfinished.unlink()
    return why or f"{file['file']} is not served"


def run(step: str, *command: object) -> None:
    """Run a command of an installation."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode:
        raise StepFailed(step, done.stderr.strip() or done.stdout.strip())


def see(environment: Path, packages: Path, distribution: Path | None) -> None:
    """Have an environment find packages as if they were installed there, also what one does at the start, and the distribution's last."""
    site = environment / "lib" / PYTHON / "site-packages"
    # By its name the first of such files, so that the packages come before what the distribution has.
    (site / "bramble-packages.pth").write_text(f"import site; site.addsitedir({str(packages)!r})\n", "utf-8")
    if distribution:
        (site / "distribution.pth").write_text(f"{distribution}\n", "utf-8")


def install_packages(component: str, archive: dict[str, str]) -> Path:
    """Unpack the wheels and install them, each against its hash; return the folder.

    They have an environment of their own, for that is where wheels are meant to be installed; modules are compiled, for units cannot
    write here: on a Pi that saves seconds at each start. Debian may lack ensurepip, so pip comes along as a wheel, which runs as it is.
    """
    folder: Path = HOME / component / "packages" / archive["name"]
    packed = INCOMING / archive["file"]
    with tarfile.open(packed) as tar:
        tar.extraction_filter = getattr(tarfile, "data_filter", None)  # which Python 3.11 may not have
        tar.extractall(INCOMING)
    packed.unlink()
    wheels = INCOMING / packed.stem
    run("make an environment for the packages", "python3", "-m", "venv", "--without-pip", "--clear", folder)
    run(
        "install the packages, each against its hash", *PIP, folder / "bin/python", wheels / archive["pip"] / "pip", *OPTIONS,
        f"--find-links={wheels}", f"--requirement={wheels}/requirements.txt",
    )  # fmt: skip
    return folder


def install_release(component: str, given: dict[str, Any]) -> Path:
    """Make the release's environment where it will run, for environments do not move, and have it read its settings; return the folder."""
    folder: Path = HOME / component / "releases" / given["releases"][component]
    wheel = given["wheel"]
    debians = given["distribution"].get(component, "")
    packages = HOME / component / "packages" / given["packages"][component]["name"] / "lib" / PYTHON / "site-packages"
    system = ["--system-site-packages"] if debians == "all" else []
    run("make the release's environment", "python3", "-m", "venv", "--without-pip", "--clear", *system, folder)
    see(folder, packages, DEBIANS if debians == "last" else None)
    requirement = f"file://{INCOMING}/{wheel['file']}#sha256={wheel['sha256']}"
    run("install the release itself", *PIP, folder / "bin/python", "-m", "pip", *OPTIONS, requirement)
    for name, file in given["etc"][component].items():
        write(folder / name, base64.b64decode(file["content"]), file["mode"], file["owner"])
    # Other settings are another release of the same wheel, for which nothing needs to be sent.
    os.link(INCOMING / wheel["file"], folder / wheel["file"])
    # The controller has judged them; this is the host's own Python, with what is installed here.
    run("let the release read its settings", folder / "bin/bramble", "settings", "check", folder)
    return folder


def complete(folders: list[Path]) -> None:
    """Mark folders complete once all of it is on the card: a power cut may not leave one that looks complete and is not."""
    if folders:
        run("write it out to the card", "sync", "-f", HOME)
    for folder in folders:
        (folder / ".complete").write_text(f"{folder.name}\n", "utf-8")


def differences(etc: dict[str, dict[str, Any]]) -> list[dict[str, str]]:
    """Return what would be other in ``/etc`` with the new releases."""
    found = []
    for name, file in (pair for files in etc.values() for pair in files.items()):
        path, content = ROOT / name, base64.b64decode(file["content"])
        if (described(path) or {}).get("sha256") != file["sha256"]:
            found.append(difference(path, content))
    return found


def main() -> None:
    """Do what ``state`` says."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "required": True, "choices": ["fetched", "installed", "cleared"]},
            "files": {"type": "list", "elements": "dict", "default": []},
            "source": {"type": "str", "default": ""},
            "releases": {"type": "dict", "default": {}},
            "packages": {"type": "dict", "default": {}},
            "unpack": {"type": "list", "elements": "str", "default": []},
            "wheel": {"type": "dict", "default": {}},
            "distribution": {"type": "dict", "default": {}},
            "etc": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
        no_log=True,
    )
    given, step = module.params, "get its files"
    diff = {"diff": differences(given["etc"])} if module._diff and given["etc"] else {}
    if module.check_mode:
        module.exit_json(changed=given["state"] == "installed", lacking=[], **diff)
    os.umask(0o022)
    try:
        with alone():
            if given["state"] != "installed":
                cleared = clear()
                lacking = {}
                if given["state"] == "fetched":
                    INCOMING.mkdir(parents=True)
                    lacking = {file["file"]: why for file in given["files"] if (why := get(file, given["source"]))}
                why = "; ".join(dict.fromkeys(lacking.values()))
                module.exit_json(changed=bool(cleared), cleared=cleared, lacking=sorted(lacking), why=why)
            step = "install it"
            complete([install_packages(component, given["packages"][component]) for component in given["unpack"]])
            releases = [install_release(component, given) for component in given["releases"]]
            shutil.rmtree(INCOMING)
            complete(releases)
    except StepFailed as error:
        step, why = error.args
        module.fail_json(msg=f"it failed to {step}", stderr=why, step=step)
    except (OSError, KeyError, tarfile.TarError) as error:
        module.fail_json(msg=str(error), step=step)
    module.exit_json(changed=True, **diff)


if __name__ == "__main__":
    main()
