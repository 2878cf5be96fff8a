"""How bytes come and go: Socket.IO's events, connections and their shares of the loop.

Only here Socket.IO is named, and gevent only in the room of that name.
"""
