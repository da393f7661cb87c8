"""A DDS domain for each test process, so that test runs on one machine do not hear each other."""

from __future__ import annotations

import fcntl
import os
import tempfile
from typing import Any

_DOMAINS = range(40, 102)
_claim: Any = None


def claim_domain() -> int:
    """Take a DDS domain that no other test run on this machine uses, until this process ends."""
    global _claim
    if _claim is not None:
        return int(os.environ["ROS_DOMAIN_ID"])
    for number in _DOMAINS:
        path = f"{tempfile.gettempdir()}/avs_ros_test_domain_{os.getuid()}_{number}"
        file = open(path, "w")  # noqa: SIM115 - the lock lives as long as the file is open
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            continue
        _claim = file
        os.environ["ROS_DOMAIN_ID"] = str(number)
        return number
    raise RuntimeError(f"every DDS domain of {_DOMAINS} is in use by other test runs")
