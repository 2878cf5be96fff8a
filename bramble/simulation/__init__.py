"""A fleet in simulated time: the machines, strategies, codecs and local runs of server and client, with no socket and no waiting.

What is simulated is the world around them: places with their readings (``places``), who is slow, away or lost (``scenario``), the clock.
``rounds`` plays the rounds, ``workers`` do several clients' ``training`` at once, ``results`` writes what came of it. Nothing here may
decide what a server or a client decides: it asks them.
"""
