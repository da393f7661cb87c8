"""avs_ros: which pixels of the camera picture are making the sound, and what they are.

The rooms, from the bottom up (imports point downwards only):

- ``models``      networks, label vocabularies, checkpoints (PyTorch, no ROS)
- ``inference``   engines that run a network behind one protocol, ``Segmenter``
- ``streaming``   audio ring buffer, synchroniser, worker pipeline (no ROS)
- ``nodes``       ROS 2 nodes: topics -> pipeline -> topics
- ``cli``         the ``avs`` command

``middleware`` is the only door to ROS 2.
"""

__version__ = "0.1.0"
