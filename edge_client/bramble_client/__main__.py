"""``python -m bramble_client`` is ``bramble client``."""

import sys

from bramble.cli import main

main(["client", *sys.argv[1:]])
