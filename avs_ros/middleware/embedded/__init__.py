"""The embedded ROS runtime: rclpy's names over Cyclone DDS and rosbags' message definitions."""
