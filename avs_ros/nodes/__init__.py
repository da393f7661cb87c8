"""ROS 2 nodes in plain rclpy: segmentation, attention, player and microphone."""
