"""What the command line runs on a client: the client itself, and what looks at one beside it."""
