"""What takes the project out of the house, and is not installed: releases, and the README's picture."""
