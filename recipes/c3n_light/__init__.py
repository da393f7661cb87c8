"""``c3n_light``, from data to file: ``python -m recipes.c3n_light train --data DIR -o DIR``."""
