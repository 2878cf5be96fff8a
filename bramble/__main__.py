"""``python -m bramble``."""

from bramble.cli import main

main()
