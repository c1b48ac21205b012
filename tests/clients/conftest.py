"""A server of the real `ingot` binary (INGOT names it; `make test` sets it), and the clients that connect to it."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from databricks import sql

REPOSITORY = Path(__file__).resolve().parents[2]


class Server:
    """A server over a data directory, for as long as its context."""

    def __init__(self, data_dir: Path, *arguments: str):
        binary = os.environ.get("INGOT", str(REPOSITORY / "target" / "debug" / "ingot"))
        assert Path(binary).exists(), f"no ingot binary at {binary}; run `make test`"
        self._data_dir = data_dir
        self._command = [binary, "serve", "--data-dir", str(data_dir), *arguments]

    def __enter__(self) -> "Server":
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        self.url = json.loads(self._process.stdout.readline())["http"]
        return self

    def __exit__(self, *_):
        self._process.terminate()
        assert self._process.wait(timeout=60) == 0

    @property
    def token(self) -> str:
        """The administrator's."""
        return (self._data_dir / "admin-token").read_text().strip()


@pytest.fixture(scope="session")
def url(tmp_path_factory) -> str:
    """The address of a server that lives as long as the tests."""
    with Server(tmp_path_factory.mktemp("data"), "--listen", "127.0.0.1:0", "--development") as server:
        yield server.url


@pytest.fixture(scope="session")
def secured(tmp_path_factory):
    """A server of HTTPS, and the file of the authority that signed its certificate."""
    data_dir = tmp_path_factory.mktemp("secured")
    with Server(data_dir, "--listen", "127.0.0.1:0", "--development", "--tls") as server:
        yield server.url, data_dir / "tls" / "ca.pem"


@pytest.fixture
def secured_url(secured, monkeypatch) -> str:
    """The address of a server of HTTPS that this process trusts."""
    url, authority = secured
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
    return url


@pytest.fixture
def connect(url):
    """Opens connections of databricks-sql-connector, and closes them."""
    opened = []

    def connect(**options):
        path = "/sql/1.0/warehouses/ingot"
        options = {"enable_telemetry": False, "_connection_uri": url + path} | options
        connection = sql.connect(url.removeprefix("http://"), path, access_token="any", **options)
        opened.append(connection)
        return connection

    yield connect
    for connection in opened:
        connection.close()


@pytest.fixture
def cursor(connect):
    return connect().cursor()


@pytest.fixture
def rows(cursor):
    """Runs a statement and returns its rows as tuples."""

    def rows(statement, parameters=None):
        return [tuple(row) for row in cursor.execute(statement, parameters).fetchall()]

    return rows
