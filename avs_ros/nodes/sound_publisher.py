"""Sound as a node publishes it: in one of the message families, with its format beside it."""

from __future__ import annotations

from typing import Any

from avs_ros.conversions.audio import AUDIO_TYPES, FORMATLESS, make_audio, make_audio_info
from avs_ros.nodes.declared_parameters import BaseNode
from avs_ros.nodes.message_types import ROS, published_audio_type
from avs_ros.nodes.topics import sibling_topic
from avs_ros.streaming.inputs import Sound


class SoundPublisher:
    """The topic ``audio`` of a node, and ``audio_info`` where its messages tell no format.

    ``type``: short name of the message type; ``publisher``: of ``audio``.
    """

    def __init__(self, node: BaseNode, audio_type: str, info_period_s: float) -> None:
        """``audio_type``: short name or ``auto``; ``info_period_s``: seconds between formats.

        Raises :class:`MessageTypeError` where the type is not installed.
        """
        self.type = published_audio_type(audio_type)
        name = AUDIO_TYPES[self.type]
        self.publisher = node.publisher(node.topics["audio"], type_name=name)
        self._format: tuple[int, int] | None = None
        self._info: Any = None
        if name in FORMATLESS:
            beside = sibling_topic(node, "audio_info", "audio")
            self._info = node.publisher(node.topics["audio_info"], beside)
            # Again and again: subscribers that come later must learn the format too.
            node.steady_timer(info_period_s, self._publish_info)

    def describe(self, rate_hz: int, channels: int) -> None:
        """Tell the format of what follows, where it is another."""
        if self._format != (rate_hz, channels):
            self._format = rate_hz, channels
            self._publish_info()

    def fall_silent(self) -> None:
        """Tell no format any more, until sound comes again."""
        self._format = None

    def publish(self, sound: Sound, stamp_ns: int, frame_id: str) -> None:
        """Publish ``sound`` with this stamp and frame."""
        samples = sound.samples
        self.describe(sound.rate_hz, 1 if samples.ndim == 1 else samples.shape[1])
        self.publisher.publish(
            make_audio(ROS, self.type, stamp_ns, samples, sound.rate_hz, frame_id)
        )

    def _publish_info(self) -> None:
        known = self._format
        if self._info is not None and known is not None:
            self._info.publish(make_audio_info(ROS, *known))
