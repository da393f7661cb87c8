"""How fast, and in how much memory: measured side by side, shown as ratios.

Nothing here is a test.  Absolute times belong to one machine and one moment; what holds are
ratios of samples that were taken in turns.  Forms are compared for equality before any is timed.
"""
