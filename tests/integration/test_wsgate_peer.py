"""Whose address counts when the peer is gone before it was accepted."""
import os
import signal
import socket
import struct

import pytest
from backends import Backend, reply
from gate import gate, request  # noqa: F401
from harness import wait_until

FORGED = "10.1.2.3"


@pytest.mark.row("proxy: X-Forwarded-*, Forwarded")
def test_a_peer_without_address_is_not_believed(gate):  # noqa: F811
    """A reset before accept leaves the request readable and the address gone:
    it must not pass for a unix socket's peer."""
    seen = []

    def script(connection):
        while (message := connection.request()) is not None:
            seen.append(message.get("x-real-ip"))
            connection.send(reply(b"x"))

    with Backend(script) as web:
        daemon = gate.start(
            {"/": {"proxy": {"servers": [f"127.0.0.1:{web.port}"]}}})
        assert gate.get().status == 200        # a kept connection is there
        os.kill(daemon.worker, signal.SIGSTOP)
        try:
            for _ in range(20):
                peer = socket.create_connection(("127.0.0.1", gate.plain))
                peer.sendall(request("/", f"X-Forwarded-For: {FORGED}"))
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                struct.pack("ii", 1, 0))
                peer.close()
        finally:
            os.kill(daemon.worker, signal.SIGCONT)
        before = len(seen)
        assert gate.get().status == 200        # it came to all of them
        wait_until(lambda: len(seen) > before, "the request behind them")
        assert FORGED not in seen
