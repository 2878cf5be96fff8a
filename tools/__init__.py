"""What the project's makers run, and nobody else: releases and the README's picture. Nothing here is installed."""
