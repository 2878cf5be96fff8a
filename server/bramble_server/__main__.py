"""``python -m bramble_server`` is ``bramble server``."""

import sys

from bramble.cli import main

main(["server", *sys.argv[1:]])
