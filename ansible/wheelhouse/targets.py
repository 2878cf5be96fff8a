"""What can be deployed where: a target is a Python and a machine, a component is one extra of the distribution."""

from __future__ import annotations

from dataclasses import dataclass

GLIBC = {"cp311": range(17, 37), "cp313": range(17, 42)}
"""Minor versions of the C library, 2.17 up to what the Debian with that Python has: 2.36 in Bookworm, 2.41 in Trixie."""


@dataclass(frozen=True)
class Target:
    """A Python and a machine, for instance ``cp311-aarch64``."""

    python: str
    machine: str

    @property
    def name(self) -> str:
        """The name, as in file names."""
        return f"{self.python}-{self.machine}"

    @property
    def python_version(self) -> str:
        """For instance ``3.11``."""
        return f"{self.python[2]}.{self.python[3:]}"

    @property
    def markers(self) -> dict[str, str]:
        """What environment markers see there."""
        return {
            "python_version": self.python_version, "python_full_version": f"{self.python_version}.2", "platform_machine": self.machine,
            "implementation_name": "cpython", "platform_python_implementation": "CPython", "os_name": "posix", "sys_platform": "linux",
            "platform_system": "Linux",
        }  # fmt: skip

    @property
    def pip_options(self) -> list[str]:
        """Make pip choose wheels for this target, whatever it runs on."""
        tags = [f"manylinux_2_{minor}_{self.machine}" for minor in reversed(GLIBC[self.python])] + [f"manylinux2014_{self.machine}"]
        platforms = [option for tag in tags for option in ("--platform", tag)]
        return ["--only-binary=:all:", "--implementation", "cp", "--python-version", self.python_version, *platforms]

    @property
    def from_debian(self) -> tuple[str, ...]:
        """Distributions that Debian provides there, for PyPI has no wheel of them or of what they need: on 32 bits."""
        return ("cryptography", "numpy") if self.machine == "armv7l" else ()


TARGETS = [Target(python, machine) for python in ("cp311", "cp313") for machine in ("aarch64", "x86_64")] + [Target("cp311", "armv7l")]
COMPONENTS = {
    "client": TARGETS,
    "server": [target for target in TARGETS if target.machine != "armv7l"],
    "inspector": [target for target in TARGETS if target.machine != "armv7l"],
}
"""Component, which is an extra, to the targets it runs on: a 32-bit Pi is a client only."""
EXTRAS = {"client": "client,gpio,signing,mqtt", "server": "server,mqtt,secure", "inspector": "inspector"}


def find(component: str, name: str) -> Target:
    """Return a target by name; ValueError says what there is instead."""
    if component not in COMPONENTS:
        raise ValueError(f"there is no component {component!r}; there are {', '.join(COMPONENTS)}")
    for target in COMPONENTS[component]:
        if target.name == name:
            return target
    raise ValueError(f"the {component} does not run on {name}; it runs on {', '.join(target.name for target in COMPONENTS[component])}")
