"""rclpy's place for ``validate_node_name``."""

from __future__ import annotations

from .names import validate_node_name

__all__ = ["validate_node_name"]
