"""What a client does with what was learnt: it forecasts beside its rounds, and goes by whichever model does best at its own site.

:mod:`~bramble_client.use.standing` compares models and is pure. Nobody here speaks to a server, and graphs are run by the process
of :mod:`bramble_client.learn`, which lends it when no round needs it.
"""
