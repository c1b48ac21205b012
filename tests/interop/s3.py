"""An S3 server (moto, in a process of its own) behind a proxy that does to requests what networks and stores do.

    ingot ─► Proxy ─► moto
              │ rules: for requests of this kind, this fault, so many times
              └ dice:  for any write, any fault, now and then (seeded)
"""

import http.client
import random
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Callable

BUCKET = "lake"
KEYS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
}
SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
INTERNAL = b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"
NOT_IMPLEMENTED = b"<Error><Code>NotImplemented</Code><Message>A header is not implemented.</Message></Error>"


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def puts(self, ending: str) -> bool:
        return self.method == "PUT" and self.path.split("?")[0].endswith(ending)

    def commits(self) -> bool:
        return self.puts(".json") and "/_delta_log/0" in self.path


@dataclass
class Rule:
    """A fault for requests that `meant` picks: `fail` is the name of a method of `Handler`."""

    meant: Callable[[Request], bool]
    fault: str
    times: int


@dataclass
class Dice:
    """Makes one of `one_in` requests fail in one of the ways of `faults`."""

    random: random.Random
    one_in: int
    faults: list[str]


@dataclass
class Proxy(ThreadingHTTPServer):
    """The address that clients are told. Requests reach `upstream`, unless a rule or the dice say otherwise."""

    upstream: tuple[str, int]
    rules: list[Rule] = field(default_factory=list)
    dice: Dice | None = None
    seen: list[tuple[str, str]] = field(default_factory=list)
    late: list[Request] = field(default_factory=list)

    daemon_threads = True
    allow_reuse_address = True

    def __post_init__(self):
        self.decision = threading.Lock()
        # moto looks for the file and puts it in two steps; S3 does that in one.
        self.conditional = threading.Lock()
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def fail(self, meant: Callable[[Request], bool], fault: str, times: int = 1):
        self.rules.append(Rule(meant, fault, times))

    def fault(self, request: Request) -> str | None:
        with self.decision:
            self.seen.append((request.method, request.path))
            for rule in self.rules:
                if rule.times > 0 and rule.meant(request):
                    rule.times -= 1
                    return rule.fault
            dice = self.dice
            if dice and dice.random.randrange(dice.one_in) == 0:
                return dice.random.choice(dice.faults)
            return None

    def forward(self, request: Request) -> tuple[int, list[tuple[str, str]], bytes]:
        if "if-none-match" in request.headers:
            with self.conditional:
                return self.ask(request)
        return self.ask(request)

    def ask(self, request: Request) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(*self.upstream, timeout=60)
        try:
            connection.request(request.method, request.path, request.body, request.headers)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def deliver_late(self) -> list[int]:
        """Forwards what was held back, and returns the statuses that nobody was told."""
        statuses = [self.forward(request)[0] for request in self.late]
        self.late.clear()
        return statuses

    def handle_error(self, request, client_address):
        pass  # Clients whose connections are cut, or who are killed, leave broken pipes.


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def serve(self):
        length = int(self.headers.get("content-length", 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, b"")
        fault = self.server.fault(request)
        if fault == "torn":
            self.rfile.read(length // 2)
            return self.reset()
        request.body = self.rfile.read(length)
        if fault is None:
            self.answer(*self.server.forward(request))
        else:
            getattr(self, fault)(request)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = serve

    def answer(self, status: int, headers: list[tuple[str, str]], body: bytes):
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        length = dict((name.lower(), value) for name, value in headers).get("content-length")
        self.send_header("Content-Length", length if self.command == "HEAD" and length else str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def reset(self):
        self.close_connection = True
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # On, no time: closing sends RST.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()

    # Faults.

    def error_before(self, request: Request):
        self.answer(500, [], INTERNAL)

    def error_after(self, request: Request):
        self.server.forward(request)
        self.answer(500, [], INTERNAL)

    def slow_down(self, request: Request):
        self.answer(503, [], SLOW_DOWN)

    def reset_before(self, request: Request):
        self.reset()

    def reset_after(self, request: Request):
        self.server.forward(request)
        self.reset()

    def slow(self, request: Request):
        time.sleep(0.2)
        self.answer(*self.server.forward(request))

    def hold_back(self, request: Request):
        self.server.late.append(request)
        self.reset()

    def forget_condition(self, request: Request):
        request.headers.pop("if-none-match", None)
        self.answer(*self.server.forward(request))

    def not_implemented(self, request: Request):
        self.answer(501, [], NOT_IMPLEMENTED)

    def log_message(self, format, *args):
        pass


class Server:
    """moto on a free port, with one bucket."""

    def __init__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.wait()

    def wait(self):
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/moto-api/", timeout=5).read()
                break
            except OSError:
                assert self.process.poll() is None and time.monotonic() < deadline, "moto does not start"
                time.sleep(0.05)
        self.request("PUT", f"/{BUCKET}")

    def request(self, method: str, path: str) -> bytes:
        url = f"http://127.0.0.1:{self.port}{path}"
        headers = {"Authorization": "AWS4-HMAC-SHA256 Credential=test/20200101/us-east-1/s3/aws4_request"}
        return urllib.request.urlopen(urllib.request.Request(url, method=method, headers=headers)).read()

    def keys(self, prefix: str) -> list[str]:
        """Returns the keys of the bucket that begin with `prefix`, past the proxy."""
        text = self.request("GET", f"/{BUCKET}?list-type=2&max-keys=100000&prefix={prefix}").decode()
        return [part.split("</Key>")[0] for part in text.split("<Key>")[1:]]

    def uploads(self) -> int:
        """Returns how many uploads in parts were begun and neither completed nor aborted."""
        return self.request("GET", f"/{BUCKET}?uploads").decode().count("<UploadId>")

    def stop(self):
        self.process.terminate()
        self.process.wait()
