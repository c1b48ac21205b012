"""Holds one engine: reads its tables, then a query a line, as JSON; answers each with a line; ends with its input."""

import json
import os
import sys
from pathlib import Path


def rows(tuples) -> list:
    return [[None if cell is None else str(cell) for cell in row] for row in tuples]


class Ingot:
    def __init__(self, data_dir: str, tables: dict[str, str]):
        from commits import Client, Server

        self.server = Server(os.environ["INGOT"], Path(data_dir))
        self.client = Client(self.server.address, {"use_cached_result": "false"})
        self.pid = self.server.process.pid

    def run(self, text: str) -> list:
        # A column may have the name of another.
        answer = json.loads(self.client.post(text), object_pairs_hook=lambda row: [cell for _, cell in row],
                            parse_float=str)
        return rows(answer)

    def stop(self) -> None:
        self.server.stop()


class DuckDb:
    """On the files of the tables, as Parquet: its Delta extension is made for older versions."""

    def __init__(self, data_dir: str, tables: dict[str, str]):
        import duckdb

        self.pid = os.getpid()
        self.connection = duckdb.connect()
        # Nulls come first, as in Spark.
        self.connection.execute("SET default_null_order = 'nulls_first_on_asc_last_on_desc'")
        for table, folder in tables.items():
            self.connection.execute(f"CREATE VIEW {table} AS FROM read_parquet('{folder}/**/*.parquet')")

    def run(self, text: str) -> list:
        return rows(self.connection.execute(text).fetchall())


class Polars:
    def __init__(self, data_dir: str, tables: dict[str, str]):
        import polars

        self.pid = os.getpid()
        self.context = polars.SQLContext({table: polars.scan_delta(folder) for table, folder in tables.items()})

    def run(self, text: str) -> list:
        return rows(self.context.execute(text.replace("`", '"').rstrip().rstrip(";")).collect().rows())


class Sail:
    def __init__(self, data_dir: str, tables: dict[str, str]):
        from harness import sail

        self.pid = os.getpid()
        self.session = sail()
        for table, folder in tables.items():
            self.session.sql(f"CREATE TABLE {table} USING delta LOCATION '{folder}'")

    def run(self, text: str) -> list:
        answer = self.session.sql(text.rstrip().rstrip(";")).toArrow()
        return rows(zip(*(column.to_pylist() for column in answer.columns)))


def main() -> None:
    engine, data_dir = sys.argv[1:]
    answers, sys.stdout = sys.stdout, sys.stderr
    made = {"ingot": Ingot, "duckdb": DuckDb, "polars": Polars, "sail": Sail}[engine]
    holder = made(data_dir, json.loads(sys.stdin.readline()))
    answer = {"pid": holder.pid}
    while True:
        print(json.dumps(answer), file=answers, flush=True)
        line = sys.stdin.readline()
        if not line:
            break
        try:
            answer = {"rows": holder.run(json.loads(line))}
        except Exception as error:
            answer = {"error": str(error)[:500]}
    if hasattr(holder, "stop"):
        holder.stop()


if __name__ == "__main__":
    main()
