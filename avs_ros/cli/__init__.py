"""The ``avs`` command: one verb, one file."""
