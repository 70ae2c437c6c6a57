"""The least HTTP client that keeps its connection: what is measured should be the server."""

from __future__ import annotations

import socket
import time


class Connection:
    """One kept-alive HTTP/1.1 connection to this machine; requests one after the other."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._port = port

    def close(self) -> None:
        """Closes the connection."""
        self._socket.close()

    def get(self, target: str) -> tuple[int, bytes, float]:
        """Status, body, and milliseconds from sending to the last byte. Raises RuntimeError without Content-Length."""
        request = f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n\r\n".encode("ascii")
        started = time.perf_counter()
        self._socket.sendall(request)
        received = bytearray()
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._more()
        head = bytes(received[:end]).lower()
        _, marker, rest = head.partition(b"\r\ncontent-length:")
        if not marker:
            raise RuntimeError(f"{target}: the answer has no Content-Length, which this client needs")
        length = int(rest.split(b"\r\n", 1)[0])
        while len(received) < end + 4 + length:
            received += self._more()
        milliseconds = (time.perf_counter() - started) * 1e3
        return int(head.split(b" ", 2)[1]), bytes(received[end + 4 :]), milliseconds

    def _more(self) -> bytes:
        chunk = self._socket.recv(65_536)
        if not chunk:
            raise RuntimeError("the server closed the connection in the middle of an answer")
        return chunk
