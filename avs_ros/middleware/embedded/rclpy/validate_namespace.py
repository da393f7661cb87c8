"""rclpy's place for ``validate_namespace``."""

from __future__ import annotations

from .names import validate_namespace

__all__ = ["validate_namespace"]
