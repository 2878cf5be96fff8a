"""``python -m bramble_inspector`` is ``bramble inspector``."""

import sys

from bramble.cli import main

main(["inspector", *sys.argv[1:]])
