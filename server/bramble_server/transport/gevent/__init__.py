"""The engine that serves: gevent's loop under WSGI and WebSockets. Another one would be a room beside this."""
