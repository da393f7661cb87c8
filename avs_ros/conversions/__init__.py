"""ROS messages <-> NumPy arrays: the only place that knows message fields.  Pure functions.

Readers take any object with the message's fields (rclpy's, or one read from a bag); writers take
the message classes that they are to make (:class:`MessageTypes`).
"""
