"""One nginx and one mosquitto on this machine for the simulation of a fleet, and what they take of it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """A process that listens on a port."""

    pid: int
    port: int

    def cpu_s(self) -> float:
        """Seconds of processor time that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory_mb(self) -> float:
        """Resident memory in MB."""
        match = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text())
        return round(int(match[1]) / 1000, 1) if match else 0.0


@contextmanager
def nginx(folder: Path, served: Path, log: Path) -> Iterator[Server]:
    """A web server for a folder, which logs path, status and bytes of each answer once per second."""
    port = free_port()
    log.touch()
    config = f"""
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log; user root;
events {{ worker_connections 1024; }}
http {{
    log_format sizes '$uri $status $bytes_sent';
    access_log {log} sizes buffer=64k flush=1s;
    sendfile on;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port}; root {served}; }}
}}
"""
    (folder / "nginx.conf").write_text(config)
    with _running(["nginx", "-c", str(folder / "nginx.conf")], port) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield Server(int(children[0]), port)


@contextmanager
def mosquitto(folder: Path, settings: str = "allow_anonymous true", port: int = 0) -> Iterator[Server]:
    """A broker that lets everybody in, or has other settings."""
    port = port or free_port()
    (folder / "mosquitto.conf").write_text(f"user root\nlistener {port} 127.0.0.1\n{settings}\n")
    with _running(["mosquitto", "-c", str(folder / "mosquitto.conf")], port) as process:
        yield Server(process.pid, port)


def memory_of_connections(broker: Server, count: int) -> float:
    """Kilobytes of the broker's memory for each connection that stays open. Raises OSError if it refuses one."""
    before, sockets = broker.memory_mb(), []
    try:
        for number in range(count):
            name = f"idle-{number:08d}".encode()
            # CONNECT with a clean session and a keep-alive of 0 (MQTT 3.1.1, section 3.1).
            body = b"\0\4MQTT\4\2\0\0" + len(name).to_bytes(2, "big") + name
            connection = socket.create_connection(("127.0.0.1", broker.port), timeout=30)
            sockets.append(connection)
            connection.sendall(bytes([0x10, len(body)]) + body)
            if connection.recv(4) != b"\x20\2\0\0":
                raise OSError("the broker refuses a connection")
        return round(1000 * (broker.memory_mb() - before) / count, 2)
    finally:
        for connection in sockets:
            connection.close()


@contextmanager
def _running(command: list[str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the end."""
    program = shutil.which(command[0], path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        raise typer.BadParameter(f"no {command[0]}: sudo apt install nginx-light mosquitto")
    process = subprocess.Popen([program, *command[1:]], stderr=subprocess.DEVNULL)  # noqa: S603
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
