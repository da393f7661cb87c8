"""The embedded runtime's message and service classes, by name."""

from __future__ import annotations

import threading

from avs_ros.errors import MiddlewareError

from .messages import Message, Service, make_message_class, make_service_class
from .schema import SchemaStore, main_store, store_of

_lock = threading.RLock()
_messages: dict[tuple[int, str], type[Message]] = {}
_services: dict[str, type[Service]] = {}


def _full_name(name: str, kind: str) -> str:
    parts = name.split("/")
    if len(parts) == 2:
        parts.insert(1, kind)
    if len(parts) != 3 or not all(parts) or parts[1] != kind:
        raise MiddlewareError(f"{name!r} is not an interface name; expected 'package/{kind}/Name'")
    return "/".join(parts)


def _message_class(name: str, store: SchemaStore) -> type[Message]:
    key = (id(store), name)
    with _lock:
        if key not in _messages:
            schema = store.schema(name)
            nested = {
                field.base: _message_class(field.base, store)
                for field in schema.fields
                if field.is_message
            }
            _messages[key] = make_message_class(schema, store, nested)
        return _messages[key]


def get_message(name: str) -> type[Message]:
    """Give the class of a message such as ``sensor_msgs/msg/Image`` (or ``sensor_msgs/Image``).

    Of the two packages called ``audio_common_msgs``, ``AudioStamped`` and ``Audio`` are those of
    mgonzs13, every other name is that of ros-drivers.  Raises ``MiddlewareError`` for a name
    that is not known.
    """
    name = _full_name(name, "msg")
    return _message_class(name, store_of(name))


def get_service(name: str) -> type[Service]:
    """Give the class of a service such as ``std_srvs/srv/SetBool``; ``.Request``, ``.Response``.

    Raises ``MiddlewareError`` for a name that is not known.
    """
    name = _full_name(name, "srv")
    store = main_store()
    with _lock:
        if name not in _services:
            if name not in store.services:
                raise MiddlewareError(
                    f"service {name!r} is not known to the embedded middleware; install ROS 2 "
                    "and its package, or register the definition"
                )
            _services[name] = make_service_class(
                name,
                _message_class(f"{name}_Request", store),
                _message_class(f"{name}_Response", store),
            )
        return _services[name]


def register_definition(name: str, text: str) -> None:
    """Make a message (``package/msg/Name``) or service (``package/srv/Name``) known.

    ``text`` is what its ``.msg`` or ``.srv`` file says; types that it uses come first.
    """
    with _lock:
        main_store().register(name, text)


def find_message(name: str) -> type[Message] | None:
    """Give the class of a message seen on the graph, or ``None`` if its name is not known."""
    try:
        return get_message(name)
    except MiddlewareError:
        return None
