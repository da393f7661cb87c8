"""avs_ros: which pixels of the camera image are making the sound, and what they are.

The rooms, from the bottom up (imports point downwards only):

- ``models``      networks, label vocabularies, checkpoints (PyTorch, no ROS)
- ``inference``   engines that run a network behind one protocol, ``Segmenter``
- ``streaming``   audio ring buffer, synchroniser, worker pipeline (no ROS)
- ``cli``         the ``avs`` command
- ``nodes``       ROS 2 nodes: topics -> pipeline -> topics; the only room that imports rclpy
"""

__version__ = "0.2.0"
