"""One HTML file per run, with everything inside: opens without a network.

``page`` is the frame with its style, ``charts`` draws inline SVG, ``run_report`` fills both for
one pass over a recording.
"""
