"""Head and body in one write, over real connections of clients of all kinds."""

from __future__ import annotations

import logging
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from recsvc import protocol
from tests.running import RunningService, wait_until

REQUEST = b"GET /v1/users/u001/recommendations?limit=3 HTTP/1.1\r\nHost: x\r\n\r\n"
OTHER = REQUEST.replace(b"u001", b"u002")
LAST = REQUEST.replace(b"u001", b"u003").replace(b"Host: x", b"Host: x\r\nConnection: close")


@pytest.fixture
def service(tmp_path: Path, redis_url: str) -> Iterator[RunningService]:
    running = RunningService(tmp_path, redis_url)
    running.publish()
    with running:
        yield running


def connected(service: RunningService) -> socket.socket:
    address = service.client.base_url
    return socket.create_connection((address.host, address.port or 80), timeout=10)


def everything(service: RunningService, sent: bytes) -> bytes:
    """What comes until the service closes the connection."""
    with connected(service) as connection:
        connection.sendall(sent)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def test_pipelined_requests_are_answered_in_their_order(service: RunningService) -> None:
    answers = everything(service, REQUEST + OTHER + REQUEST + OTHER + LAST)
    assert re.findall(rb'"user_id":"(u\d+)"', answers) == [b"u001", b"u002", b"u001", b"u002", b"u003"]
    assert answers.count(b"HTTP/1.1 200 OK") == 5


def test_http_1_0_gets_the_whole_answer_and_the_end(service: RunningService) -> None:
    for _ in range(2):
        answer = everything(service, REQUEST.replace(b"HTTP/1.1", b"HTTP/1.0"))
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"content-length: %d\r\n" % len(body) in head


def test_who_waits_for_100_is_told_to_go_on_before_the_answer(service: RunningService) -> None:
    body = b'{"events":[]}'
    head = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\n"
    with connected(service) as connection:
        connection.sendall(head + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body))
        assert connection.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 ")


def test_clients_that_leave_early_are_no_errors(service: RunningService, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, logger="uvicorn.error"):
        for _ in range(100):
            with connected(service) as connection:
                connection.sendall((REQUEST + OTHER) * 3)
        everything(service, LAST)
    assert caplog.messages == []
    assert service.metric("recsvc_requests_in_progress") == 1


def test_who_was_just_let_in_is_answered_once_when_the_service_ends(service: RunningService) -> None:
    with connected(service) as connection, connected(service) as silent:
        service.recommend("u001")  # after the two were let in
        service.end()
        connection.sendall(REQUEST + OTHER)
        answers = b"".join(iter(lambda: connection.recv(65_536), b""))
        assert re.findall(rb'"user_id":"(u\d+)"', answers) == [b"u001"]
        assert b"connection: close" in answers
        assert silent.recv(1) == b""


def test_who_was_answered_before_is_answered_once_more_when_the_service_ends(service: RunningService) -> None:
    with connected(service) as connection, connected(service) as silent:
        for kept in (connection, silent):
            kept.sendall(REQUEST)
            assert kept.recv(65_536).startswith(b"HTTP/1.1 200")
        service.end()
        time.sleep(0.1)  # after the process has told its connections
        connection.sendall(REQUEST)
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in answer
        assert silent.recv(1) == b""


def test_who_asks_and_does_not_read_is_dropped(service: RunningService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "_STALLED_SECONDS", 0.2)
    with connected(service) as connection:
        connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 400)  # no buffer holds the answers
        connections = service._server.server_state.connections
        # Who asks for the metrics is the one that stays.
        wait_until(lambda: service.metric("recsvc_requests_in_progress") == len(connections) == 1)
