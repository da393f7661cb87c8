"""Ctrl-C and termination: shut every context down, as rclpy's handlers do."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from enum import IntFlag
from types import FrameType
from typing import Any

from .context import running_contexts


class SignalHandlerOptions(IntFlag):
    """Which signals to handle."""

    NO = 0
    SIGINT = 1
    SIGTERM = 2
    ALL = 3


class _Handlers:
    """The handlers of this process.

    A signal may arrive while its thread holds any lock, so the handler itself only writes to a
    pipe; a thread at the other end does the shutting down.
    """

    def __init__(self) -> None:
        self.options = SignalHandlerOptions.NO
        self._previous: dict[int, Any] = {}
        self._write_end = -1

    def install(self, options: SignalHandlerOptions) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # Python lets only the main thread set handlers
        self.uninstall()
        wanted = {SignalHandlerOptions.SIGINT: signal.SIGINT,
                  SignalHandlerOptions.SIGTERM: signal.SIGTERM}
        chosen = [number for option, number in wanted.items() if options & option]
        if not chosen:
            return
        read_end, self._write_end = os.pipe()
        os.set_blocking(self._write_end, False)
        threading.Thread(
            target=_shut_down_on_signal, args=(read_end,), name="ros-signals", daemon=True
        ).start()
        for number in chosen:
            self._previous[number] = signal.signal(number, self._handle)
        self.options = options

    def uninstall(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number, previous in self._previous.items():
            # Someone may have replaced ours since; theirs stays then.
            if signal.getsignal(number) == self._handle:
                signal.signal(number, previous)
        self._previous.clear()
        if self._write_end >= 0:
            os.close(self._write_end)
            self._write_end = -1
        self.options = SignalHandlerOptions.NO

    def _handle(self, number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(OSError):
            os.write(self._write_end, b"!")
        previous = self._previous.get(number)
        # For SIGINT Python's own handler raises KeyboardInterrupt in the main thread.
        if callable(previous):
            previous(number, frame)


def _shut_down_on_signal(read_end: int) -> None:
    with os.fdopen(read_end, "rb", buffering=0) as pipe:
        while pipe.read(1):
            for context in running_contexts():
                context.try_shutdown()


_handlers = _Handlers()


def install_signal_handlers(options: SignalHandlerOptions = SignalHandlerOptions.ALL) -> None:
    """Handle these signals; outside of the main thread nothing happens."""
    _handlers.install(options)


def get_current_signal_handlers_options() -> SignalHandlerOptions:
    """Say which signals are handled."""
    return _handlers.options


def uninstall_signal_handlers() -> None:
    """Put the earlier handlers back."""
    _handlers.uninstall()
