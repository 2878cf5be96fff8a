"""How a client speaks to its server: the link, its trust and its way through a network, and what waits to be sent.

What is sent is made elsewhere; here it is kept until it has arrived.
"""
