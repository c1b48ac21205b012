"""Engines that share no code of ours: each function starts one and returns how it answers SQL over a Delta folder.

An answer takes (folder, SQL over `t`) and returns rows as tuples. Imports are where an engine starts, because the
environments of `make test` and `make interop` hold different ones.
"""

import os
from datetime import datetime
from pathlib import Path

#: The engines under test.
CHOSEN = os.environ.get("INTEROP_ENGINES", "duckdb deltalake sail").split()


def duckdb():
    """DuckDB with its Delta extension, installed from a package rather than the network."""
    import duckdb as package
    import duckdb_extensions

    connection = package.connect(config={"allow_unsigned_extensions": "true"})
    duckdb_extensions.import_extension("delta", con=connection)
    connection.execute("LOAD delta")
    connection.execute("SET TimeZone = 'UTC'")

    def rows(folder: str, query: str) -> list[tuple]:
        return connection.execute(query.replace(" t", f" delta_scan('{folder}')", 1)).fetchall()

    return rows


def deltalake():
    """delta-rs, with the SQL of DataFusion."""
    import pyarrow
    from deltalake import DeltaTable, QueryBuilder

    def rows(folder: str, query: str) -> list[tuple]:
        found = QueryBuilder().register("t", DeltaTable(folder)).execute(query)
        table = pyarrow.table(found.read_all())
        return list(zip(*(column.to_pylist() for column in table.columns), strict=True))

    return rows


def sail():
    """Sail, asked through Spark Connect."""
    from pysail.spark import SparkConnectServer
    from pyspark.sql import SparkSession

    server = SparkConnectServer()
    server.start(background=True)
    _, port = server.listening_address
    session = SparkSession.builder.remote(f"sc://127.0.0.1:{port}").getOrCreate()
    session.conf.set("spark.sql.session.timeZone", "UTC")
    return _of_spark(session, keeps_alive=server)


def spark():
    """Apache Spark with delta-spark, whose jars DELTA_JARS names."""
    from pyspark.sql import SparkSession

    jars = sorted(str(jar) for jar in Path(os.environ["DELTA_JARS"]).glob("*.jar"))
    session = (
        SparkSession.builder.master("local[1]")
        .config("spark.jars", ",".join(jars))
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
        .config("spark.databricks.delta.snapshotPartitions", "1")
        .config("spark.sql.shuffle.partitions", "1")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    return _of_spark(session, keeps_alive=None)


def normal(value):
    """Makes one value of the several that engines give for the same thing: structs are dicts, times are UTC."""
    if hasattr(value, "asDict"):
        value = value.asDict()
    if isinstance(value, dict):
        return {key: normal(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [normal(inner) for inner in value]
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    return value


def _of_spark(session, keeps_alive):
    def rows(folder: str, query: str) -> list[tuple]:
        query = query.replace(" t", f" delta.`{folder}`", 1)
        return [tuple(row) for row in session.sql(query).collect()]

    rows.session = session
    rows.keeps_alive = keeps_alive
    return rows
