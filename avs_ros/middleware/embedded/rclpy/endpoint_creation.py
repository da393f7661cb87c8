"""How a node makes its publishers, subscriptions, clients and services."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from .. import wire_names
from ..messages import Message
from ..messages import Service as ServiceType
from .callback_groups import CallbackGroup
from .client import Client
from .dds_qos import decide_best_available, from_dds
from .endpoint import EndpointHandle
from .entity_lists import EntityListsMixin
from .event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from .exceptions import NoTypeSupportImportedException
from .publisher import Publisher
from .qos import QoSProfile, qos_profile_services_default
from .qos_overriding_options import QoSOverridingOptions, declare_qos_parameters
from .service import Service
from .subscription import Subscription


class EndpointCreationMixin(EntityListsMixin):
    """Resolves names and QoS, creates the DDS endpoints, announces them as the node's."""

    def resolve_topic_name(self, topic: str, *, only_expand: bool = False) -> str:
        """Give the absolute name of a topic."""
        raise NotImplementedError

    def resolve_service_name(self, service: str, *, only_expand: bool = False) -> str:
        """Give the absolute name of a service."""
        raise NotImplementedError

    def create_publisher(
        self,
        msg_type: Any,
        topic: str,
        qos_profile: QoSProfile | int,
        *,
        callback_group: CallbackGroup | None = None,
        event_callbacks: PublisherEventCallbacks | None = None,
        qos_overriding_options: QoSOverridingOptions | None = None,
        publisher_class: type[Publisher] = Publisher,
    ) -> Publisher:
        """Publish messages of ``msg_type`` on ``topic``; an ``int`` QoS is a history depth.

        Raises ``InvalidTopicNameException``, ``NoTypeSupportImportedException``, ``TypeError``.
        """
        _check_message_type(msg_type)
        name = self.resolve_topic_name(topic)
        profile = self._profile(qos_profile, "publisher", name, qos_overriding_options)
        with ExitStack() as undo:
            handle = self._endpoint(undo, _dds_topic(name, profile), msg_type, profile, True)
            publisher = publisher_class(
                handle, msg_type, topic, profile,
                event_callbacks=event_callbacks or PublisherEventCallbacks(),
                callback_group=callback_group or self.default_callback_group,
            )
            undo.pop_all()
        publisher._resolved_topic = name
        self._adopt(publisher.event_handlers, self._events)
        self._publishers.append(publisher)
        handle.start()
        self._graph.add_endpoints(self._graph_key, [], [handle.gid])
        return publisher

    def create_subscription(
        self,
        msg_type: Any,
        topic: str,
        callback: Callable[..., Any],
        qos_profile: QoSProfile | int,
        *,
        callback_group: CallbackGroup | None = None,
        event_callbacks: SubscriptionEventCallbacks | None = None,
        qos_overriding_options: QoSOverridingOptions | None = None,
        raw: bool = False,
    ) -> Subscription:
        """Call back with each message on ``topic``; ``raw``: with its CDR bytes.

        An ``int`` QoS is a history depth.  Raises ``InvalidTopicNameException``,
        ``NoTypeSupportImportedException``, ``TypeError``.
        """
        _check_message_type(msg_type)
        name = self.resolve_topic_name(topic)
        profile = self._profile(qos_profile, "subscription", name, qos_overriding_options)
        with ExitStack() as undo:
            handle = self._endpoint(undo, _dds_topic(name, profile), msg_type, profile, False)
            subscription = Subscription(
                handle, msg_type, topic, callback, callback_group or self.default_callback_group,
                profile, raw, event_callbacks=event_callbacks or SubscriptionEventCallbacks(),
            )
            undo.pop_all()
        subscription._resolved_topic = name
        self._adopt(subscription.event_handlers, self._events)
        self._adopt([subscription], self._subscriptions)
        handle.start()
        self._graph.add_endpoints(self._graph_key, [handle.gid], [])
        return subscription

    def create_client(
        self,
        srv_type: Any,
        srv_name: str,
        *,
        qos_profile: QoSProfile = qos_profile_services_default,
        callback_group: CallbackGroup | None = None,
    ) -> Client:
        """Ask the service ``srv_name``; raises ``InvalidServiceNameException`` and the like."""
        name = self._checked_service(srv_type, srv_name)
        mark = {"clientid": self._context.participant.next_service_id()}
        with ExitStack() as undo:
            writer = self._endpoint(
                undo, wire_names.request_name(name), srv_type.Request, qos_profile, True, mark
            )
            reader = self._endpoint(
                undo, wire_names.reply_name(name), srv_type.Response, qos_profile, False, mark
            )
            client = Client(
                self._context, writer, reader, srv_type, srv_name, qos_profile,
                callback_group or self.default_callback_group,
            )
            undo.pop_all()
        client._resolved_name = name
        self._adopt([client], self._clients)
        writer.start()
        reader.start()
        self._graph.add_endpoints(self._graph_key, [reader.gid], [writer.gid])
        return client

    def create_service(
        self,
        srv_type: Any,
        srv_name: str,
        callback: Callable[[Any, Any], Any],
        *,
        qos_profile: QoSProfile = qos_profile_services_default,
        callback_group: CallbackGroup | None = None,
    ) -> Service:
        """Answer requests to ``srv_name``: ``callback(request, response)`` gives the response."""
        name = self._checked_service(srv_type, srv_name)
        mark = {"serviceid": self._context.participant.next_service_id()}
        with ExitStack() as undo:
            writer = self._endpoint(
                undo, wire_names.reply_name(name), srv_type.Response, qos_profile, True, mark
            )
            reader = self._endpoint(
                undo, wire_names.request_name(name), srv_type.Request, qos_profile, False, mark
            )
            service = Service(
                reader, writer, srv_type, srv_name, callback,
                callback_group or self.default_callback_group, qos_profile,
            )
            undo.pop_all()
        service._resolved_name = name
        self._adopt([service], self._services)
        writer.start()
        reader.start()
        self._graph.add_endpoints(self._graph_key, [reader.gid], [writer.gid])
        return service

    def _checked_service(self, srv_type: Any, srv_name: str) -> str:
        if not (isinstance(srv_type, type) and issubclass(srv_type, ServiceType)):
            raise NoTypeSupportImportedException()
        return self.resolve_service_name(srv_name)

    def _endpoint(
        self,
        undo: ExitStack,
        dds_topic: str,
        cls: type[Message],
        profile: QoSProfile,
        is_writer: bool,
        mark: dict[str, str] | None = None,
    ) -> EndpointHandle:
        handle = EndpointHandle(
            self._context.participant, dds_topic, cls, profile, is_writer=is_writer,
            logger_name=self._logger.name, service_mark=mark,
        )
        undo.callback(handle.destroy)
        return handle

    def _profile(
        self, qos: QoSProfile | int, kind: str, topic: str, options: QoSOverridingOptions | None
    ) -> QoSProfile:
        if isinstance(qos, QoSProfile):
            profile = copy.copy(qos)
        elif isinstance(qos, int) and not isinstance(qos, bool) and qos >= 0:
            profile = QoSProfile(depth=qos)
        else:
            raise TypeError(f"Expected QoSProfile or a depth >= 0, but received {qos!r}")
        if options is not None:
            node: Any = self
            declare_qos_parameters(kind, node, topic, profile, options)
        if "BEST_AVAILABLE" not in (
            profile.reliability.name, profile.durability.name, profile.liveliness.name
        ):
            return profile
        is_writer = kind == "publisher"
        others = [
            from_dds(one.qos)
            for one in self._graph.endpoints()
            if one.topic == wire_names.topic_name(topic) and one.is_writer != is_writer
        ]
        return decide_best_available(profile, others, is_writer)


def _dds_topic(name: str, profile: QoSProfile) -> str:
    return wire_names.topic_name(name, raw=profile.avoid_ros_namespace_conventions)


def _check_message_type(msg_type: Any) -> None:
    if not (isinstance(msg_type, type) and issubclass(msg_type, Message)):
        raise NoTypeSupportImportedException()
