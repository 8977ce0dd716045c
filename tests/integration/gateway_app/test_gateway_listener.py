"""A listening socket that is about to be closed serves whoever got in, and nobody else, without any privilege."""

import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[3]
AS_AN_ORDINARY_USER = """
import encodings.idna, os, pwd, socket
from gateway_app.http1.listener import listen, refuse_new_connections
if os.geteuid() == 0:
    os.setuid(pwd.getpwnam("nobody").pw_uid)
listener = listen("127.0.0.1", 0, 16)
address = listener.getsockname()
early = socket.create_connection(address)
refuse_new_connections(listener)
try:
    socket.create_connection(address, timeout=5)
    print("a new connection got in")
except ConnectionRefusedError:
    print("refused")
listener.setblocking(True)
served, _ = listener.accept()
listener.close()
early.sendall(b"ping")
served.sendall(served.recv(4))
print(early.recv(4).decode())
"""


def test_new_connections_are_refused_and_waiting_ones_are_served() -> None:
    command = [sys.executable, "-c", AS_AN_ORDINARY_USER]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["refused", "ping"], done.stderr
