"""How good a model is, on pictures, recordings and class pairs kept away from training.

``cases``: the questions; ``answers``: scored answers; ``figures``, ``hearing``: what they come
to; ``contestants``, ``teacher``: who is judged; ``judging``: several models on the same
questions; ``clips``, ``failures``: pictures to look at.
"""

from recipes.c3n_light.evaluate.answers import marked
from recipes.c3n_light.evaluate.figures import Row
from recipes.c3n_light.evaluate.judging import evaluate

__all__ = ["Row", "evaluate", "marked"]
