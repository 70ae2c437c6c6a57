"""The socket that the service listens on, taken before anything slow is started."""

from __future__ import annotations

import errno
import socket
from typing import Final

BACKLOG: Final = 2048


class ListenRefused(Exception):  # noqa: N818
    """The address cannot be listened on; the message says why and which setting to change."""


def listen(host: str, port: int) -> socket.socket:
    """Binds and listens at once, so that of two services exactly one gets the port; port 0 takes a free one.

    Who connects before a worker accepts waits in the backlog. Raises `ListenRefused`.
    """
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as exc:
        raise ListenRefused(f"{host!r} is not an address of this machine ({exc}); set RECSVC_HOST") from exc
    family, kind, protocol, _name, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as exc:
        listener.close()
        raise ListenRefused(_reason(exc, host, port)) from exc
    return listener


def address_of(listener: socket.socket) -> tuple[str, int]:
    """A host and port by which this machine reaches the listener; an IPv6 address comes without brackets."""
    host, port = listener.getsockname()[:2]
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port  # noqa: S104


def _reason(exc: OSError, host: str, port: int) -> str:
    if exc.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is taken by another process; stop that one, or set RECSVC_PORT to a free port"
    if exc.errno == errno.EACCES:
        return f"port {port} on {host} needs privileges; set RECSVC_PORT to 1024 or above"
    if exc.errno == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this machine; set RECSVC_HOST"
    return f"cannot listen on port {port} of {host}: {exc.strerror}; set RECSVC_HOST and RECSVC_PORT"
