"""The interactive shell of `ingot sql`, through a pseudo-terminal: what a person types and sees."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

import pytest

BINARY = os.environ.get("INGOT", "target/debug/ingot")
PATIENCE = 120
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A shell at a terminal of 80 columns."""

    def __init__(self, arguments, environment, columns=80):
        self.screen, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

        def own_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            [BINARY, "sql", *arguments],
            stdin=inside,
            stdout=inside,
            stderr=inside,
            env={**os.environ, "TERM": "xterm", "NO_COLOR": "1"} | environment,
            preexec_fn=own_terminal,
        )
        os.close(inside)
        self.unread = ""

    def read(self, deadline):
        ready, _, _ = select.select([self.screen], [], [], max(0, deadline - time.monotonic()))
        assert ready, f"nothing more came after: {self.unread!r}"
        try:
            text = os.read(self.screen, 65536).decode(errors="replace")
        except OSError:
            text = ""
        assert text, f"the shell ended after: {self.unread!r}"
        self.unread += text

    def expect(self, pattern):
        """Waits until the screen shows the pattern, and returns what it showed until then."""
        deadline = time.monotonic() + PATIENCE
        while True:
            shown = ESCAPES.sub("", self.unread)
            found = re.search(pattern, shown)
            if found:
                self.unread = shown[found.end() :]
                return shown[: found.end()]
            self.read(deadline)

    def type(self, text):
        os.write(self.screen, text.encode())

    def run(self, line, pattern):
        """Types a line, and waits for what follows it and the next prompt."""
        self.type(line + "\r")
        shown = self.expect(pattern)
        self.expect(r"> ")
        return shown

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.screen)


@pytest.fixture(params=["embedded", "server"])
def terminal(request, tmp_path, url):
    """Opens shells, embedded or on a server."""
    opened = []
    places = {"embedded": ["--data-dir", str(tmp_path / "data")], "server": ["--url", url]}

    def terminal(*arguments, columns=80):
        history = {"INGOT_HISTORY": str(tmp_path / "history")}
        shell = Terminal([*places[request.param], *arguments], history, columns)
        opened.append(shell)
        shell.expect(r"main\.default> ")
        return shell

    yield terminal
    for shell in opened:
        shell.close()


def test_statements_over_several_lines(terminal):
    shell = terminal()
    shell.type("SELECT 1 AS one,\r")
    shell.type("  'it;s' AS two;\r")
    shown = shell.expect(r"1 row in [0-9.]+ s")
    assert "| one | two  |" in shown and "|   1 | it;s |" in shown
    shell.expect("> ")
    shell.run("SELECT * FROM shell_nowhere;", r"TABLE_OR_VIEW_NOT_FOUND")
    shell.run("SELECT 2 AS still_here;", r"1 row in")


def test_commands(terminal, tmp_path):
    shell = terminal()
    assert ".tables" in shell.run(".help", r"\.use .*")
    shell.run("CREATE SCHEMA IF NOT EXISTS shell_s;", "rows in")
    shell.type("\\c shell_s\r")
    shell.expect(r"main\.shell_s> ")
    shell.run("CREATE OR REPLACE TABLE t AS SELECT 1 AS id;", "in [0-9.]+ s")
    assert "shell_s" in shell.run("\\dt", r"\| +t +\|.*")
    shell.run(".describe t", r"\| id +\| int")
    shell.run("\\timing off", "timing is off")
    shell.run(".output csv", "output is csv")
    shell.run("SELECT 1 AS a, 'x,y' AS b;", r'a,b\r\n1,"x,y"')
    shell.run(".output vertical", "output is vertical")
    shell.run("SELECT 1 AS a, 'x' AS long_name;", r"long_name \| x")
    shell.run(".output xml", "there is no format")
    script = tmp_path / "file.sql"
    script.write_text(".output json\nSELECT 1 AS first;\nSELECT 2\n AS second;\nSELECT * FROM nowhere;\nSELECT 3 AS third;\n")
    shown = shell.run(f"source {script}", "TABLE_OR_VIEW_NOT_FOUND")
    assert '{"first":1}' in shown and '{"second":2}' in shown and "third" not in shown.replace("\\n", "")
    shell.run("SELECT 4 AS fourth;", r'\{"fourth":4\}')
    shell.run(".profile", r"FINISHED in")
    shell.type(".quit\r")
    assert shell.process.wait(PATIENCE) == 0


def test_a_table_fits_its_terminal(terminal):
    shell = terminal(columns=40)
    shown = shell.run("SELECT 1 AS id, repeat('long ', 20) AS words;", "1 row in")
    lines = [line for line in shown.splitlines() if line.startswith(("|", "+"))]
    assert len(lines) == 5 and all(len(line) <= 40 for line in lines), lines
    assert "…" in shown
    wide = ", ".join(f"{number} AS column_{number}" for number in range(30))
    shell.run(f"SELECT {wide};", r"-\[ 1 \]-+\s+column_0 +\| 0")


def test_tab_completes(terminal):
    shell = terminal()
    shell.run("CREATE OR REPLACE TABLE shell_completed (first_column INT, other INT);", "in [0-9.]+ s")
    # The names come a moment after the statement that made them: asked for again until they are there.
    deadline = time.monotonic() + PATIENCE
    while True:
        shell.type("SELECT other FROM shell_compl\t\x05;\r")
        shown = shell.expect(r"rows in|TABLE_OR_VIEW_NOT_FOUND")
        shell.expect("> ")
        if "TABLE_OR_VIEW" not in shown:
            break
        assert time.monotonic() < deadline, "the name never came"
    shell.type("sel\t fir\t FROM shell_completed;\x01\x1b[C\x05\r")
    shell.expect(r"TABLE_OR_VIEW|UNRESOLVED|PARSE|rows in")
    shell.expect("> ")
    shell.type(".outp\t mark\t\r")
    shell.expect("output is markdown")
    shell.expect("> ")
    shell.run("SELECT 1 AS a;", r"\|-+:\|")


@pytest.mark.parametrize("statement", ["SELECT count(*) FROM range(10000000) a CROSS JOIN range(10000000) b;"])
def test_ctrl_c_stops_a_statement(terminal, statement):
    shell = terminal()
    shell.type(statement + "\r")
    # The line that says how far it is.
    shell.expect(r"[0-9.]+ s: .*(rows|turn)")
    shell.type("\x03")
    shell.expect("work was stopped")
    shell.expect("> ")
    # Its turn is free, and its end is known.
    deadline = time.monotonic() + PATIENCE
    query = "SELECT execution_status AS s FROM system.query.history WHERE statement_text LIKE '%10000000) b' AND executed_by = current_user();"
    while "CANCELED" not in shell.run(query, "in [0-9.]+ s"):
        assert time.monotonic() < deadline, "it still runs"
    shell.type("SELECT 'half a line\x03")
    shell.expect(r"main\.default> ")
    shell.run("SELECT 'a whole one' AS line;", "1 row in")


def test_what_was_typed_is_there_in_the_next_shell(terminal):
    first = terminal()
    first.run("SELECT 'typed before' AS t;", "1 row in")
    first.process.kill()
    second = terminal()
    second.type("\x1b[A")
    second.expect("typed before")
    second.type("\r")
    second.expect("1 row in")
