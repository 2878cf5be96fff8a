"""The inspector: one page that shows a whole fleet learning. It knows the server only over HTTP."""
