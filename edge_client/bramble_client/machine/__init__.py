"""The computer that a client runs on: its health, its memory and disk, and the lamp and button at its front."""
