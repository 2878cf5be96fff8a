"""What the command line runs on a client, beside the client itself."""
