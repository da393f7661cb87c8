"""How the weights that come with the package were made: one command each, not installed."""
