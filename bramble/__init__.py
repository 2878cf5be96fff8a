"""The command ``bramble``: knows each room by its settings and its ``run``, and imports only the one that is asked for."""
