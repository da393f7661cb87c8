"""rclpy's place for ``validate_topic_name``."""

from __future__ import annotations

from .names import validate_topic_name

__all__ = ["validate_topic_name"]
