"""Run benchmarks by name, print their tables and write ``RESULTS.md``."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
import traceback
from pathlib import Path

import bench
from bench.asked import Refused
from bench.table import print_table, section, update

RESULTS = Path(__file__).with_name("RESULTS.md")


def names() -> list[str]:
    """Return the benchmarks: the modules of this package that hold a ``main``."""
    found = (module.name for module in pkgutil.iter_modules(bench.__path__) if not module.name.startswith("_"))
    return sorted(name for name in found if "def main(" in Path(bench.__path__[0], f"{name}.py").read_text("utf-8"))


def main() -> int:
    """Measure what the command line names; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure what Bramble promises.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to measure, all by default: {', '.join(names())}")
    parser.add_argument("--no-results", action="store_true", help="do not write RESULTS.md")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(names()))
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}: expected some of {', '.join(names())}")
    failed = []
    for name in arguments.names or names():
        try:
            print(f"{name} ...", flush=True)
            rows = importlib.import_module(f"bench.{name}").main()
        except KeyboardInterrupt:
            print(f"stopped: {name} was not measured, and what was measured of it is not kept", file=sys.stderr)
            return 130
        except Exception as error:
            print(f"{name}: {error}", file=sys.stderr) if isinstance(error, Refused) else traceback.print_exc()
            failed.append(name)
            continue
        print_table(rows, name)
        if not arguments.no_results:
            update(RESULTS, {name: section(name, rows)})
    if failed:
        print(f"could not be measured: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
