"""Sums that open only as a whole: secure aggregation with clients that may drop out. Pure: what is said goes in and comes out as bytes.

Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving Machine Learning" (CCS 2017), figure 4, over the graph of neighbours
of Bell et al., "Secure Single-Server Aggregation with (Poly)Logarithmic Overhead" (CCS 2020) where there are many clients. Each client adds
to its words a mask of its own and one for each pair that it makes with a neighbour, which cancel in the sum. Of both kinds its neighbours
hold shares: of the own mask of whoever is in the sum, and of the pairs' of whoever dropped, enough of them take the masks off; never both.

``party.py`` is a client's part, ``collector.py`` the server's; ``masking.py``, ``sharing.py``, ``neighbours.py`` and ``fixed.py`` are what
both reckon with, ``roll.py`` whose keys they are. ``masking.py`` and ``roll.py`` need the package cryptography, of the extra ``secure``.
"""

LEAST = 2
"""Clients without which a sum would be one client's own update."""
