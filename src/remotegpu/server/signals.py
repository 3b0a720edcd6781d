"""Connects what lower domains announce with the higher ones that act on it, in every process of the server."""

from remotegpu.server.core.signals import credentials_ended, customer_access_changed
from remotegpu.server.domains.access import service as access_service
from remotegpu.server.domains.machines import service as machines_service


def connect_signals() -> None:
    """Repeatable."""
    customer_access_changed.connect(machines_service.bump_machines_of)
    customer_access_changed.connect(access_service.end_sessions_without_right)
    credentials_ended.connect(access_service.end_sessions_of_credentials)
