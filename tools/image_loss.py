"""How many images arrive over DDS, by quality of service and transport.

    python tools/image_loss.py [--seconds 5] [--width 640 --height 480] [--rate 30]

One process publishes rgb8 images (reliable, depth 1, as most camera drivers do), another one
subscribes; both on this machine.  Prints one row per setting: what arrived of what was sent, and
the median delay.  ``buffer``: the UDP sockets' receive buffer, set by a profile of Fast DDS as
``sysctl net.core.rmem_default`` would set it for every program (up to ``net.core.rmem_max``).
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROFILE = """<?xml version="1.0" encoding="UTF-8"?>
<profiles xmlns="http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles">
  <transport_descriptors><transport_descriptor>
    <transport_id>udp</transport_id><type>UDPv4</type>
    <receiveBufferSize>{size}</receiveBufferSize><sendBufferSize>{size}</sendBufferSize>
  </transport_descriptor></transport_descriptors>
  <participant profile_name="large" is_default_profile="true"><rtps>
    <userTransports><transport_id>udp</transport_id></userTransports>
    <useBuiltinTransports>false</useBuiltinTransports>
  </rtps></participant>
</profiles>
"""
TRANSPORTS = ("", "UDPv4", "SHM", "LARGE_DATA")


def publish(args: argparse.Namespace) -> None:
    """Send images, each stamped when it is sent; print how many."""
    import rclpy
    from rclpy.qos import QoSProfile
    from sensor_msgs.msg import Image

    rclpy.init()
    node = rclpy.create_node("image_source")
    publisher = node.create_publisher(Image, "image", QoSProfile(depth=1))
    while not publisher.get_subscription_count():
        time.sleep(0.05)
    image = Image(height=args.height, width=args.width, encoding="rgb8", step=3 * args.width)
    image.data = bytes(3 * args.width * args.height)
    begin = time.monotonic()
    count = round(args.seconds * args.rate)
    for number in range(count):
        time.sleep(max(0.0, begin + number / args.rate - time.monotonic()))
        image.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(image)
    print(count, flush=True)
    time.sleep(1.0)


def subscribe(args: argparse.Namespace) -> None:
    """Count images until none has come for two seconds; print how many, and the median delay."""
    import rclpy
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import Image

    rclpy.init()
    node = rclpy.create_node("image_sink")
    delays_ms: list[float] = []
    last = time.monotonic() + 10.0

    def take(msg: Image) -> None:
        nonlocal last
        now = node.get_clock().now().nanoseconds
        delays_ms.append((now - msg.header.stamp.sec * 10**9 - msg.header.stamp.nanosec) * 1e-6)
        last = time.monotonic()

    reliability = ReliabilityPolicy[args.subscribe.upper()]
    node.create_subscription(Image, "image", take, QoSProfile(depth=1, reliability=reliability))
    while time.monotonic() - last < 2.0:
        rclpy.spin_once(node, timeout_sec=0.1)
    print(len(delays_ms), statistics.median(delays_ms) if delays_ms else float("nan"), flush=True)


def measure(args: argparse.Namespace, reliability: str, environment: dict[str, str]) -> str:
    """One row: both processes in this environment."""
    common = [
        sys.executable, __file__, "--seconds", str(args.seconds), "--width", str(args.width),
        "--height", str(args.height), "--rate", str(args.rate),
    ]
    settings = {
        **os.environ, "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_DOMAIN_ID": os.environ.get("ROS_DOMAIN_ID", "97"), **environment,
    }
    sink = subprocess.Popen(
        [*common, "--subscribe", reliability], env=settings, stdout=subprocess.PIPE, text=True)
    source = subprocess.run(
        [*common, "--publish"], env=settings, stdout=subprocess.PIPE, text=True, check=True)
    arrived, delay_ms = sink.communicate(timeout=60)[0].split()
    return f"{arrived:>5} of {source.stdout.strip():>4}   {float(delay_ms):7.1f} ms"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--rate", type=float, default=30.0)
    parser.add_argument("--publish", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--subscribe", default="", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.publish or args.subscribe:
        publish(args) if args.publish else subscribe(args)
        return 0
    print(f"{args.width} x {args.height} rgb8 at {args.rate:g} Hz, {args.seconds:g} s")
    print("transport    buffer    subscription   arrived          delay")
    with tempfile.TemporaryDirectory() as folder:
        cases: list[tuple[str, str, dict[str, str]]] = [
            (name or "default", "system", {"FASTDDS_BUILTIN_TRANSPORTS": name} if name else {})
            for name in TRANSPORTS
        ]
        for megabytes in (1, 4):
            profile = Path(folder, f"{megabytes}.xml")
            profile.write_text(PROFILE.format(size=megabytes * 2**20), encoding="utf-8")
            variables = {"FASTRTPS_DEFAULT_PROFILES_FILE": str(profile)}
            cases.append(("UDPv4", f"{megabytes} MiB", variables))
        for transport, buffer, environment in cases:
            for reliability in ("best_effort", "reliable"):
                row = measure(args, reliability, environment)
                print(f"{transport:<12} {buffer:<9} {reliability:<14} {row}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
