"""The JDBC driver of Arrow Flight SQL, where FLIGHT_SQL_JDBC names its jar and there is Java 17."""

import os
import subprocess
from pathlib import Path

import pytest

from conftest import Server

JAR = os.environ.get("FLIGHT_SQL_JDBC")

pytestmark = pytest.mark.skipif(JAR is None, reason="FLIGHT_SQL_JDBC names no jar")


@pytest.mark.parametrize("credentials", ["user=token&password={token}", "token={token}"])
def test_a_journey(tmp_path, credentials):
    with Server(tmp_path, "--listen", "127.0.0.1:0") as server:
        address = server.url.removeprefix("http://")
        url = f"jdbc:arrow-flight-sql://{address}/?useEncryption=false&" + credentials.format(token=server.token)
        source = Path(__file__).parent / "jdbc" / "Journey.java"
        opened = "--add-opens=java.base/java.nio=ALL-UNNAMED"
        done = subprocess.run(["java", opened, "-cp", JAR, source, url], capture_output=True, text=True)
        assert done.returncode == 0 and done.stdout.endswith("ok\n"), done.stdout + done.stderr
