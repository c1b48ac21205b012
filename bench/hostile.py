"""Clients that leave, send garbage or read slowly, and what that costs the others; see README.md.

One client asks for points, alone first and then among a crowd of each kind; afterwards the server must run no statement,
and hold about what it held. Bounded in clients and in time.
"""

import argparse
import json
import random
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from commits import Server, percentile
from harness import INGOT
from serve import CREATE, TABLE

LARGE = f"/api/v1/data/{TABLE}"


def connect(server: Server, receive_bytes: int | None = None) -> socket.socket:
    host, port = server.address.split(":")
    client = socket.socket()
    if receive_bytes:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    client.settimeout(10)
    client.connect((host, int(port)))
    return client


def request(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: application/x-ndjson\r\n\r\n".encode()


def leaves(server: Server, seed: random.Random, until: float) -> int:
    """Asks for the whole table, reads a little, and leaves."""
    count = 0
    while time.monotonic() < until:
        with connect(server) as client:
            client.sendall(request(LARGE))
            if seed.random() < 0.5:
                client.recv(1024)
        count += 1
    return count


def garbage(server: Server, seed: random.Random, until: float) -> int:
    """Sends bytes that are no request, half of one, or one whose parameters mean nothing."""
    cursor = "A" * 400
    texts = [
        seed.randbytes(200),
        b"GET /api/v1/data/x HTTP/1.1\r\nhost: 127.0.0.1\r\nx: " + b"y" * 9000,
        b"POST /api/v1/sql HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 999999\r\n\r\n{\"statement\"",
        request(f"{LARGE}?cursor={cursor}"),
        request(f"{LARGE}?id.in={','.join(map(str, range(3000)))}&order=-missing"),
        request(f"{LARGE}?filters=%7B%22id%22%3A%7B%22eq%22%3A%5B1%5D%7D%7D"),
        request("/api/v1/data/%00%2e%2e"),
    ]
    count = 0
    while time.monotonic() < until:
        with connect(server) as client:
            try:
                client.sendall(seed.choice(texts))
                if seed.random() < 0.7:
                    client.settimeout(0.2)
                    client.recv(4096)
            except OSError:
                pass
        count += 1
    return count


def reads_slowly(server: Server, seed: random.Random, until: float) -> int:
    """Asks for the whole table and reads some bytes a second."""
    read = 0
    with connect(server, receive_bytes=4096) as client:
        client.sendall(request(LARGE))
        while time.monotonic() < until:
            read += len(client.recv(512))
            time.sleep(0.05)
    return read


def points(server: Server, until: float) -> list[float]:
    """Asks for one row again and again, as a client that means well."""
    took, number = [], 0
    while time.monotonic() < until:
        number += 1
        begun = time.perf_counter()
        with urllib.request.urlopen(f"http://{server.address}{LARGE}?id={number}", timeout=60) as response:
            assert len(json.load(response)) == 1
        took.append(time.perf_counter() - begun)
    return took


def statements_running(server: Server) -> float:
    with urllib.request.urlopen(f"http://{server.address}/metrics", timeout=60) as response:
        lines = response.read().decode().splitlines()
    values = [line.split()[-1] for line in lines if line.startswith("ingot_statements_running")]
    return float(values[0]) if values else 0.0


def scene(server: Server, title: str, kind, clients: int, seconds: float) -> None:
    """Measures the client that means well among a crowd, and waits for the crowd's statements to be gone."""
    until = time.monotonic() + seconds
    seeds = [random.Random(number) for number in range(clients)]
    failures = []

    def client(seed: random.Random) -> None:
        try:
            kind(server, seed, until)
        except OSError as error:
            failures.append(error)

    crowd = [threading.Thread(target=client, args=(seed,)) for seed in seeds]
    for thread in crowd:
        thread.start()
    took = points(server, until)
    for thread in crowd:
        thread.join()
    begun = time.monotonic()
    while (running := statements_running(server)) > 0 and time.monotonic() - begun < 30:
        time.sleep(0.05)
    gone_s = time.monotonic() - begun
    took.sort()
    print(
        f"{title:<16}{clients:>8}{len(took) / seconds:>9.0f}{percentile(took, 0.5):>9.1f}{percentile(took, 0.99):>9.1f}"
        f"{running:>9.0f}{gone_s:>8.2f}{server.usage()[1]:>8}",
        flush=True,
    )
    assert running == 0, f"{running} statements run on"


def run(ingot: str, work: Path, rows: int, seconds: float) -> None:
    data_dir = Path(tempfile.mkdtemp(dir=work))
    subprocess.run(
        [ingot, "sql", "--data-dir", str(data_dir), "-e", CREATE.format(table=TABLE, rows=rows)],
        check=True, stdout=subprocess.DEVNULL,
    )
    server = Server(ingot, data_dir)
    try:
        print(f"\npoints of one client among others, {seconds:.0f} s each\n"
              f"{'':<16}{'others':>8}{'per s':>9}{'p50 ms':>9}{'p99 ms':>9}{'running':>9}{'after s':>8}{'MiB':>8}")
        scene(server, "alone, cold", leaves, 0, seconds)
        for title, kind, clients in (
            ("alone", leaves, 0),
            ("leave", leaves, 16),
            ("garbage", garbage, 16),
            ("read slowly", reads_slowly, 16),
            ("alone again", leaves, 0),
        ):
            scene(server, title, kind, clients, seconds)
    finally:
        server.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=10)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ingot-bench-") as work:
        run(INGOT, Path(work), arguments.rows, arguments.seconds)
