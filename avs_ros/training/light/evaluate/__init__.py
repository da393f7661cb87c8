"""How good a model is, on pictures, recordings and class pairs kept away from training.

``cases``: the questions; ``answers``: scored answers; ``figures``, ``hearing``: what they come
to; ``contestants``, ``teacher``: who is judged; ``judging``: several models on the same
questions; ``clips``, ``failures``: pictures to look at.
"""

from avs_ros.training.light.evaluate.answers import marked
from avs_ros.training.light.evaluate.figures import Row
from avs_ros.training.light.evaluate.judging import evaluate

__all__ = ["Row", "evaluate", "marked"]
