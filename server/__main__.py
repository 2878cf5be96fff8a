"""``python -m server`` is ``bramble server``."""

import sys

from bramble.cli import main

main(["server", *sys.argv[1:]])
