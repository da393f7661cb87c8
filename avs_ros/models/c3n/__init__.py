"""C3N, cross-modal cognitive consensus guided audio-visual segmentation, module by module.

Read top to bottom against the paper's figure 2: ``backbone`` (the classifier that is listened
in on), ``c3im`` (the label both senses agree on), ``ccam`` (the label's weight for
each channel, and gates), ``fusion`` (ASPP and TPAVI), ``decoder``, ``network`` (all).
``official`` maps the published code's tensor names; ``streaming`` is the exact incremental form.
"""

from avs_ros.models.c3n.network import C3N, C3NOutput

__all__ = ["C3N", "C3NOutput"]
