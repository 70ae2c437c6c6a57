from __future__ import annotations

import socket

import pytest

from recsvc.listener import ListenRefused, address_of, listen


def test_port_zero_takes_a_free_port_that_accepts_at_once() -> None:
    with listen("127.0.0.1", 0) as listener:
        host, port = address_of(listener)
        assert port > 0
        socket.create_connection((host, port), timeout=5).close()


def test_of_two_services_the_second_is_told_that_the_port_is_taken() -> None:
    with listen("127.0.0.1", 0) as listener:
        port = address_of(listener)[1]
        with pytest.raises(ListenRefused, match=rf"port {port} on 127\.0\.0\.1 is taken.*RECSVC_PORT"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_of_another_machine_names_the_setting(host: str) -> None:
    with pytest.raises(ListenRefused, match=r"not an address of this machine.*RECSVC_HOST"):
        listen(host, 0)


def test_an_address_for_all_is_shown_as_one_that_can_be_called() -> None:
    with listen("0.0.0.0", 0) as listener:
        assert address_of(listener)[0] == "127.0.0.1"
