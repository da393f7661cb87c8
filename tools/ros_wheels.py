"""Build a real ROS 2 Jazzy into this Python environment: wheels, and messages compiled here.

    .venv/bin/python tools/ros_wheels.py

Installs rclpy and Fast DDS from wheels and compiles the message packages of
``avs_ros/data/msgs`` with the wheels' own rosidl (needs g++; about two minutes).  What is there
already is left alone.
Development only: on a robot ROS 2 comes from its own packages.

Two packages are called ``audio_common_msgs``.  mgonzs13's goes into the environment, that of
ros-drivers into ``PREFIX/ros_drivers``: no process may see both.  A process for which the second
one shall come first is started with::

    PYTHONPATH=PREFIX/ros_drivers/lib/python3.X/site-packages
    AMENT_PREFIX_PATH=PREFIX/ros_drivers
    LD_LIBRARY_PATH=PREFIX/ros_drivers/lib:PREFIX/lib
    _ROS_WHEELS_BOOTSTRAP_COMPLETE=1

(the last one keeps the wheels from putting LD_LIBRARY_PATH into an order of their own).

Exit status: 0 done; 3 it cannot be built on this machine, one message says why.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MESSAGES = Path("avs_ros", "data", "msgs")
CANNOT = 3
PYTHONS = [(3, minor) for minor in range(10, 14)]
MACHINES = ("x86_64", "aarch64")
BUILD_TOOLS = ("setuptools<81", "wheel", "cmake>=3.22,<4", "empy==3.3.4", "catkin_pkg")
# What is imported, then what the wheels' metadata forgets.
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


class CannotBuild(Exception):
    """ROS 2 cannot be built here; the message is one message that says what to do."""


def main() -> int:
    """Install and compile what is not there yet; returns the exit status."""
    try:
        build(Path(sys.prefix))
    except CannotBuild as error:
        print(f"ROS 2 was not built: {error}", file=sys.stderr)
        return CANNOT
    return 0


def build(prefix: Path) -> None:
    """Bring ``prefix``, the running environment, up to date, one stamp per step.

    Raises CannotBuild where something is missing or a step fails.
    """
    to_do = missing(prefix)
    if to_do:
        check_machine()
    for number, (name, state) in enumerate(to_do.items(), start=1):
        print(f"ROS 2: building {name} ({number} of {len(to_do)})", flush=True)
        if name == "wheels":
            install_wheels(prefix)
        else:
            needs, below = PACKAGES[name]
            compile_package(ROOT / MESSAGES / name, needs, prefix, prefix / below)
        stamp(prefix, name).parent.mkdir(exist_ok=True)
        stamp(prefix, name).write_text(state)


def missing(prefix: Path) -> dict[str, str]:
    """Steps that are not done in ``prefix``, or done for something else, in order.

    The value is a digest of what the step depends on, for its stamp.
    """
    steps = {"wheels": digest(*BUILD_TOOLS, *WHEELS)}
    for folder in PACKAGES:
        steps[folder] = digest(CMAKE, steps["wheels"], *texts(ROOT / MESSAGES / folder))
    return {name: state for name, state in steps.items() if read(stamp(prefix, name)) != state}


def check_machine() -> None:
    """Raise CannotBuild on a machine for which there are no wheels, or without a compiler."""
    here = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    if (
        sys.platform != "linux" or platform.machine() not in MACHINES
        or sys.version_info[:2] not in PYTHONS
    ):
        raise CannotBuild(
            "its wheels are for Python 3.10 to 3.13 on Linux x86_64 and aarch64, and this is "
            f"{here}"
        )
    if sys.prefix == sys.base_prefix:
        raise CannotBuild("this Python is the system's; use that of a virtual environment")
    if shutil.which("g++") is None:
        raise CannotBuild("g++ is missing, the compiler for its message packages: apt-get install "
                          "g++")


def digest(*parts: str) -> str:
    """One short name for everything that a step depends on."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def texts(folder: Path) -> list[str]:
    """Names and contents of a package's definitions."""
    files = sorted((folder / "msg").glob("*.msg"))
    return [part for file in files for part in (file.name, file.read_text(encoding="utf-8"))]


def stamp(prefix: Path, name: str) -> Path:
    """Where it is noted that a step is done."""
    return prefix / ".ros_steps" / name.replace("/", ".")


def read(path: Path) -> str:
    """The text of a small file, "" without it."""
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def install_wheels(prefix: Path) -> None:
    """ROS 2 itself, with what its generators run on."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    wheels = [f"ros-jazzy-{name}" for name in WHEELS]
    for command in ([*pip, *BUILD_TOOLS], [*pip, "--no-build-isolation", *wheels]):
        run_quietly(command, dict(os.environ))
    mend_paths(prefix)


def mend_paths(prefix: Path) -> None:
    """Put this Python's headers in place of those of the machine that built the wheels."""
    import numpy

    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    builder = f"/opt/python/{tag}-{tag}"
    places = {
        f"{builder}/include/python{version}": sysconfig.get_paths()["include"],
        f"{builder}/lib/python{version}/site-packages/numpy/_core/include": numpy.get_include(),
    }
    for file in (prefix / "share").glob("*/cmake/*.cmake"):
        text = file.read_text(encoding="utf-8")
        mended = text
        for theirs, ours in places.items():
            mended = mended.replace(theirs, ours)
        if mended != text:
            file.write_text(mended, encoding="utf-8")


def compile_package(folder: Path, needs: tuple[str, ...], ros: Path, prefix: Path) -> None:
    """Generate, compile and install one package of .msg files into ``prefix``.

    ``ros``: the environment with the generators, and with the packages that it ``needs``.
    """
    name = folder.name
    files = sorted(f"msg/{file.name}" for file in (folder / "msg").glob("*.msg"))
    with tempfile.TemporaryDirectory() as scratch:
        source, target = Path(scratch, name), Path(scratch, "build")
        shutil.copytree(folder, source)
        find = "\n".join(f"find_package({need} REQUIRED)" for need in needs)
        depends = "\n  ".join(f"<depend>{need}</depend>" for need in needs)
        (source / "CMakeLists.txt").write_text(
            CMAKE.format(name=name, find=find, files=" ".join(files), needs=" ".join(needs))
        )
        (source / "package.xml").write_text(MANIFEST.format(name=name, depends=depends))
        paths = {"AMENT_PREFIX_PATH": str(ros), "CMAKE_PREFIX_PATH": str(ros)}
        environment = {**os.environ, **paths, "PATH": f"{ros / 'bin'}:{os.environ['PATH']}"}
        cmake = str(ros / "bin" / "cmake")
        run_quietly([
            cmake, "-S", str(source), "-B", str(target), "-DCMAKE_BUILD_TYPE=Release",
            "-DBUILD_TESTING=OFF", f"-DCMAKE_INSTALL_PREFIX={prefix}",
            f"-DPython3_EXECUTABLE={ros / 'bin' / 'python'}",
        ], environment)
        jobs = str(os.cpu_count() or 1)
        run_quietly([cmake, "--build", str(target), "-j", jobs, "-t", "install"], environment)


def run_quietly(command: list[str], environment: dict[str, str]) -> None:
    """Run; show what it printed only if it fails."""
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        print(done.stdout[-4000:], file=sys.stderr)
        raise CannotBuild(f"`{' '.join(command[:4])} …` failed with status {done.returncode}; "
                          "what it printed is above")


if __name__ == "__main__":
    sys.exit(main())
