"""How ROS 2 names look on DDS: topics, types and the text in USER_DATA."""

from __future__ import annotations

TOPIC, REQUEST, REPLY = "rt", "rq", "rr"


def topic_name(name: str, raw: bool = False) -> str:
    """Give the DDS name of a topic, ``rt/camera/image``; ``raw`` leaves it as it is."""
    return name if raw else TOPIC + name


def request_name(service: str) -> str:
    """Give the DDS topic of a service's requests, ``rq/node/set_parametersRequest``."""
    return f"{REQUEST}{service}Request"


def reply_name(service: str) -> str:
    """Give the DDS topic of a service's replies, ``rr/node/set_parametersReply``."""
    return f"{REPLY}{service}Reply"


def ros_topic(dds_name: str) -> str | None:
    """Give the ROS name of a topic, or ``None`` if it is not one."""
    return dds_name[2:] if dds_name.startswith("rt/") else None


def ros_service(dds_name: str) -> tuple[str, bool] | None:
    """Give a service's ROS name and whether the topic is its requests; ``None`` if no service."""
    if dds_name.startswith("rq/") and dds_name.endswith("Request"):
        return dds_name[2 : -len("Request")], True
    if dds_name.startswith("rr/") and dds_name.endswith("Reply"):
        return dds_name[2 : -len("Reply")], False
    return None


def ros_type(dds_type: str) -> str:
    """Give ``sensor_msgs/msg/Image`` for ``sensor_msgs::msg::dds_::Image_``; else unchanged."""
    if "::dds_::" not in dds_type or not dds_type.endswith("_"):
        return dds_type
    return dds_type.replace("::dds_::", "::")[:-1].replace("::", "/")


def ros_service_type(dds_type: str) -> str:
    """Give ``std_srvs/srv/SetBool`` for the type of its requests or replies."""
    name = ros_type(dds_type)
    for suffix in ("_Request", "_Response"):
        name = name.removesuffix(suffix)
    return name


def user_data(**entries: str) -> bytes:
    """Give entries as ROS 2 writes them, ``key=value;`` one after the other."""
    return "".join(f"{key}={value};" for key, value in entries.items()).encode()


def parse_user_data(data: bytes) -> dict[str, str]:
    """Read ``key=value;`` entries; whatever else is in there is left out."""
    entries = {}
    for entry in data.decode("utf-8", "replace").split(";"):
        key, separator, value = entry.partition("=")
        if separator:
            entries[key.strip()] = value
    return entries
