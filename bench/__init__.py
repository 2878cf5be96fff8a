"""What Bramble promises in figures, measured: ``python -m bench`` runs all of them, ``python -m bench NAME`` some."""
