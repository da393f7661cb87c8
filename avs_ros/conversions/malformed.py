"""Messages that cannot be used, each with the one-word reason under which a node counts it."""

from __future__ import annotations

from avs_ros.errors import AudioFormatError, AvsError, ImageFormatError


class MalformedImage(ImageFormatError):
    """An image message whose fields do not fit together; ``reason`` names the counter."""

    def __init__(self, reason: str, message: str) -> None:
        """Keep the ``reason`` (for counting) beside the ``message`` (for reading)."""
        super().__init__(message)
        self.reason = reason


class MalformedAudio(AudioFormatError):
    """A sound message whose fields do not fit together; ``reason`` names the counter."""

    def __init__(self, reason: str, message: str) -> None:
        """Keep the ``reason`` (for counting) beside the ``message`` (for reading)."""
        super().__init__(message)
        self.reason = reason


def reason_of(error: AvsError) -> str:
    """Name the counter of ``error``: its own reason, else its class name in lower case."""
    return str(getattr(error, "reason", type(error).__name__.lower()))
