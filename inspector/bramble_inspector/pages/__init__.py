"""The pages, one file each: what is on it, and what of it changes by itself.

A page's ``layout`` is its skeleton, made from its address alone; ``refresh`` says what of it is new. Neither asks the server: what is known
comes in a snapshot (``feed.py``), and the buttons are in ``actions.py``.
"""
