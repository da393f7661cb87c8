"""``avsc_light``, from data to file: ``python -m recipes.avsc_light --data DIR -o DIR``.

Segmenter of potential sounding objects first, what is heard second.
"""
