"""Users beside the administrator: what they may do, how clients grant it, and what they see of filtered tables."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from databricks import sql
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import PermissionDenied
from databricks.sdk.service.catalog import PermissionsChange, Privilege

from conftest import REPOSITORY

PATH = "/sql/1.0/warehouses/ingot"


class Server:
    """A server that asks for tokens."""

    def __init__(self, data_dir: Path):
        self.binary = os.environ.get("INGOT", str(REPOSITORY / "target" / "debug" / "ingot"))
        self.data_dir = data_dir
        command = [self.binary, "serve", "--data-dir", str(data_dir), "--listen", "127.0.0.1:0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.url = json.loads(self.process.stdout.readline())["http"]
        self.tokens = {"admin": (data_dir / "admin-token").read_text().strip()}
        self.connections = {}

    def ingot(self, *arguments) -> str:
        command = [self.binary, *arguments, "--data-dir", str(self.data_dir)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def token(self, principal: str) -> str:
        """Returns a token of a user, whom the server learns of while it runs."""
        if principal not in self.tokens:
            self.tokens[principal] = self.ingot("token", "create", principal)
        return self.tokens[principal]

    def rows(self, principal: str, statement: str):
        if principal not in self.connections:
            self.connections[principal] = sql.connect(
                self.url.removeprefix("http://"),
                PATH,
                access_token=self.token(principal),
                enable_telemetry=False,
                _connection_uri=self.url + PATH,
            )
        cursor = self.connections[principal].cursor()
        return [tuple(row) for row in cursor.execute(statement).fetchall()]

    def sdk(self, principal: str) -> WorkspaceClient:
        return WorkspaceClient(host=self.url, token=self.token(principal))

    def end(self):
        for connection in self.connections.values():
            connection.close()
        self.process.terminate()
        assert self.process.wait(timeout=60) == 0


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("governed") / "data")
    yield server
    server.end()


@pytest.fixture(scope="module")
def table(server):
    server.rows("admin", "CREATE TABLE main.default.t AS SELECT 1 AS id, 'a' AS region")
    server.rows("admin", "GRANT USE CATALOG, USE SCHEMA ON CATALOG main TO ann")
    return "main.default.t"


def test_a_user_reads_what_was_granted(server, table):
    with pytest.raises(sql.exc.Error, match=r"\[INSUFFICIENT_PERMISSIONS\].*User does not have SELECT on Table"):
        server.rows("ann", f"SELECT * FROM {table}")
    server.rows("admin", f"GRANT SELECT ON {table} TO `ann`")
    assert server.rows("ann", f"SELECT * FROM {table}") == [(1, "a")]
    assert server.rows("ann", "SELECT current_user()") == [("ann",)]
    server.rows("admin", f"REVOKE SELECT ON {table} FROM ann")
    with pytest.raises(sql.exc.Error, match="INSUFFICIENT_PERMISSIONS"):
        server.rows("ann", f"SELECT * FROM {table}")


def test_a_revoked_token_lets_nobody_in(server):
    assert server.rows("eve", "SELECT 1") == [(1,)]
    line = next(line for line in server.ingot("token", "list").splitlines() if "  eve  " in line)
    assert server.ingot("token", "revoke", line.split()[0]) == "1 revoked"
    with pytest.raises(sql.exc.Error):
        server.rows("eve", "SELECT 1")
    server.connections.pop("eve")


def test_the_sdk_grants_and_tells(server, table):
    grants = server.sdk("admin").grants
    changed = grants.update(
        "table", table, changes=[PermissionsChange(add=[Privilege.SELECT, Privilege.MODIFY], principal="bob")]
    )
    assert {a.principal: set(a.privileges) for a in changed.privilege_assignments} == {
        "bob": {Privilege.SELECT, Privilege.MODIFY}
    }
    effective = grants.get_effective("table", table, principal="bob").privilege_assignments
    assert {privilege.privilege for privilege in effective[0].privileges} == {Privilege.SELECT, Privilege.MODIFY}
    grants.update("table", table, changes=[PermissionsChange(remove=[Privilege.MODIFY], principal="bob")])
    assert grants.get("table", table).privilege_assignments[0].privileges == [Privilege.SELECT]
    with pytest.raises(PermissionDenied):
        server.sdk("ann").grants.update(
            "table", table, changes=[PermissionsChange(add=[Privilege.SELECT], principal="ann")]
        )
    assert [c.name for c in server.sdk("ann").catalogs.list()] == ["main"]
    assert [c.name for c in server.sdk("nobody").catalogs.list()] == []


PROFILE = """
governed:
  target: dev
  outputs:
    dev:
      type: databricks
      host: "{url}"
      http_path: {path}
      token: "{token}"
      catalog: main
      schema: of_dbt
      connection_parameters:
        _connection_uri: {url}{path}
"""


def model(kind: str, grants: dict) -> str:
    return f"{{{{ config(materialized='{kind}', grants={grants!r}) }}}} select 1 as id"


@pytest.fixture(scope="module")
def dbt(server, tmp_path_factory):
    project = tmp_path_factory.mktemp("dbt")
    (project / "models").mkdir()
    (project / "dbt_project.yml").write_text("name: governed\nprofile: governed\nversion: '1.0'\n")
    (project / "profiles.yml").write_text(PROFILE.format(url=server.url, path=PATH, token=server.token("dan")))
    server.rows("admin", "GRANT USE CATALOG, CREATE SCHEMA ON CATALOG main TO dan")

    def run(**models) -> str:
        for name, text in models.items():
            (project / "models" / f"{name}.sql").write_text(text)
        environment = os.environ | {"DBT_PROFILES_DIR": str(project), "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
        command = [Path(sys.executable).parent / "dbt", "--no-use-colors", "run", "--project-dir", project]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return (project / "logs" / "dbt.log").read_text()

    return run


def test_dbt_grants_what_models_say(server, dbt):
    """A user who is no administrator builds in a schema of their own, and dbt grants, compares and revokes."""

    def granted(name):
        shown = server.rows("dan", f"SHOW GRANTS ON main.of_dbt.{name}")
        return {(principal, action) for principal, action, kind, _ in shown if kind == "TABLE"}

    kinds = {"a_table": "table", "a_view": "view", "in_steps": "incremental"}
    dbt(**{name: model(kind, {"select": ["ann", "team of bob"]}) for name, kind in kinds.items()})
    for name in kinds:
        assert granted(name) == {("ann", "SELECT"), ("team of bob", "SELECT")}, name
    assert server.rows("dan", "SELECT count(*) FROM main.of_dbt.in_steps") == [(1,)]
    dbt(**{name: model(kind, {"select": ["ann"], "modify": ["cat"]}) for name, kind in kinds.items()})
    for name in kinds:
        assert granted(name) == {("ann", "SELECT"), ("cat", "MODIFY")}, name
    owners = server.rows("dan", "SELECT DISTINCT table_owner FROM main.information_schema.tables")
    assert owners == [("dan",)]


def test_a_filter_and_a_mask_hold_for_every_user(server, table):
    for statement in [
        "CREATE FUNCTION main.default.mine(who STRING) RETURNS BOOLEAN RETURN who = current_user()",
        "CREATE FUNCTION main.default.star(text STRING) RETURNS STRING RETURN '*'",
        "CREATE TABLE main.default.filtered (id INT, who STRING, phone STRING MASK main.default.star) "
        "WITH ROW FILTER main.default.mine ON (who)",
        "INSERT INTO main.default.filtered VALUES (1, 'ann', '111'), (2, 'bob', '222')",
        "GRANT SELECT ON main.default.filtered TO ann",
    ]:
        server.rows("admin", statement)
    assert server.rows("ann", "SELECT * FROM main.default.filtered") == [(1, "ann", "*")]
    assert server.rows("admin", "SELECT * FROM main.default.filtered") == []
    shown = server.sdk("ann").tables.get("main.default.filtered")
    assert shown.row_filter.function_name == "main.default.mine"
    assert shown.columns[2].mask.function_name == "main.default.star"


def test_dbt_sets_compares_and_drops_row_filters(server, dbt):
    server.rows("admin", "GRANT CREATE FUNCTION ON SCHEMA main.of_dbt TO dan")
    server.rows("dan", "CREATE FUNCTION main.of_dbt.small(id INT) RETURNS BOOLEAN RETURN id < 3")
    text = "{{{{ config(materialized='table'{}) }}}} select 1 as id union all select 5"
    filtered = text.format(", row_filter={'function': 'small', 'columns': 'id'}")
    for _ in range(2):
        dbt(filtered=filtered)
        assert server.rows("dan", "SELECT id FROM main.of_dbt.filtered") == [(1,)]
    dbt(filtered=text.format(""))
    assert server.rows("dan", "SELECT count(*) FROM main.of_dbt.filtered") == [(2,)]
