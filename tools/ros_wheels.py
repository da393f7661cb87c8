"""Build a real ROS 2 Jazzy into this Python environment: wheels, and messages compiled here.

    python tools/ros_wheels.py

Installs rclpy and Fast DDS from wheels and compiles the message packages of ``msgs/`` with the
wheels' own rosidl (needs g++; about two minutes).  Development only: on a robot ROS 2 comes from
its own packages.  mgonzs13's ``audio_common_msgs`` goes into the environment, ros-drivers' package
of the same name into ``PREFIX/ros_drivers``: no process may see both.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PREFIX = Path(sys.prefix)
STAMP = PREFIX / ".ros_wheels"
BUILD_TOOLS = ("setuptools<81", "wheel", "cmake>=3.22,<4", "empy==3.3.4", "catkin_pkg")
# The second half is missing from the wheels' own metadata.
WHEELS = (
    "rclpy", "rmw-fastrtps-cpp", "sensor-msgs", "std-srvs", "diagnostic-msgs",
    "rosidl-default-generators", "rosidl-default-runtime",
    "rosidl-core-generators", "ament-cmake", "ament-cmake-include-directories", "ament-package",
    "ament-cmake-ros", "ament-cmake-gmock", "ament-cmake-gtest", "ament-cmake-pytest",
    "python-cmake-module",
)
# Folder of .msg files -> (packages it needs, prefix below the environment).
PACKAGES = {
    "vision_msgs": (("std_msgs", "geometry_msgs"), ""),
    "foxglove_msgs": (("builtin_interfaces",), ""),
    "mgonzs13/audio_common_msgs": (("std_msgs",), ""),
    "ros_drivers/audio_common_msgs": (("std_msgs",), "ros_drivers"),
}

CMAKE = """cmake_minimum_required(VERSION 3.22)
project({name})
find_package(ament_cmake REQUIRED)
find_package(rosidl_default_generators REQUIRED)
{find}
rosidl_generate_interfaces(${{PROJECT_NAME}} {files} DEPENDENCIES {needs})
ament_export_dependencies(rosidl_default_runtime)
ament_package()
"""
MANIFEST = """<?xml version="1.0"?>
<package format="3">
  <name>{name}</name><version>0.0.0</version><description>{name}</description>
  <maintainer email="maintainers@avs-ros.example">avs_ros maintainers</maintainer>
  <license>Apache-2.0</license>
  <buildtool_depend>ament_cmake</buildtool_depend>
  <buildtool_depend>rosidl_default_generators</buildtool_depend>
  {depends}
  <exec_depend>rosidl_default_runtime</exec_depend>
  <member_of_group>rosidl_interface_packages</member_of_group>
  <export><build_type>ament_cmake</build_type></export>
</package>
"""


def main() -> int:
    """Install and compile what is not there yet; 2 and one sentence where g++ is missing."""
    if STAMP.is_file() and STAMP.stat().st_mtime >= newest():
        return 0
    if shutil.which("g++") is None:
        print("ROS 2 was not built: g++ is missing (apt-get install g++)", file=sys.stderr)
        return 2
    pip("install", *BUILD_TOOLS)
    pip("install", "--no-build-isolation", *(f"ros-jazzy-{name}" for name in WHEELS))
    mend_paths()
    for number, (folder, (needs, below)) in enumerate(PACKAGES.items(), start=1):
        print(f"ROS 2: compiling {folder} ({number} of {len(PACKAGES)})", flush=True)
        compile_package(ROOT / "msgs" / folder, needs, PREFIX / below)
    STAMP.touch()
    return 0


def newest() -> float:
    """When this program or a message definition changed last."""
    files = [Path(__file__), *(ROOT / "msgs").rglob("*.msg")]
    return max(file.stat().st_mtime for file in files)


def pip(*arguments: str) -> None:
    """Run this environment's pip."""
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *arguments], check=True)


def mend_paths() -> None:
    """Put this Python's headers in place of those of the machine that built the wheels."""
    import numpy

    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    builder = f"/opt/python/{tag}-{tag}"
    places = {
        f"{builder}/include/python{version}": sysconfig.get_paths()["include"],
        f"{builder}/lib/python{version}/site-packages/numpy/_core/include": numpy.get_include(),
    }
    for file in (PREFIX / "share").glob("*/cmake/*.cmake"):
        text = file.read_text(encoding="utf-8")
        mended = text
        for theirs, ours in places.items():
            mended = mended.replace(theirs, ours)
        if mended != text:
            file.write_text(mended, encoding="utf-8")


def compile_package(folder: Path, needs: tuple[str, ...], prefix: Path) -> None:
    """Generate, compile and install one package of .msg files into ``prefix``."""
    name = folder.name
    files = sorted(f"msg/{file.name}" for file in (folder / "msg").glob("*.msg"))
    with tempfile.TemporaryDirectory() as scratch:
        source, build = Path(scratch, name), Path(scratch, "build")
        shutil.copytree(folder, source)
        find = "\n".join(f"find_package({need} REQUIRED)" for need in needs)
        depends = "\n  ".join(f"<depend>{need}</depend>" for need in needs)
        (source / "CMakeLists.txt").write_text(
            CMAKE.format(name=name, find=find, files=" ".join(files), needs=" ".join(needs))
        )
        (source / "package.xml").write_text(MANIFEST.format(name=name, depends=depends))
        paths = {"AMENT_PREFIX_PATH": str(PREFIX), "CMAKE_PREFIX_PATH": str(PREFIX)}
        environment = {**os.environ, **paths, "PATH": f"{PREFIX / 'bin'}:{os.environ['PATH']}"}
        configure = [
            "cmake", "-S", str(source), "-B", str(build), "-DCMAKE_BUILD_TYPE=Release",
            "-DBUILD_TESTING=OFF", f"-DCMAKE_INSTALL_PREFIX={prefix}",
            f"-DPython3_EXECUTABLE={PREFIX / 'bin' / 'python'}",
        ]
        run_quietly(configure, environment)
        run_quietly(["cmake", "--build", str(build), "-j2", "-t", "install"], environment)


def run_quietly(command: list[str], environment: dict[str, str]) -> None:
    """Run; show what it printed only if it fails."""
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        print(done.stdout[-4000:], file=sys.stderr)
        raise SystemExit(f"ROS 2 was not built: {command[0]} failed with {done.returncode}")


if __name__ == "__main__":
    sys.exit(main())
