"""rclpy's place for ``expand_topic_name``."""

from __future__ import annotations

from .names import expand_topic_name

__all__ = ["expand_topic_name"]
