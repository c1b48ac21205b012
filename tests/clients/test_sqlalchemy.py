"""SQLAlchemy with Databricks' dialect, and pandas on top of it, against a server."""

from datetime import date, datetime
from decimal import Decimal

import pandas
import pytest
import sqlalchemy as sa
from databricks.sqlalchemy import TIMESTAMP, TIMESTAMP_NTZ, TINYINT
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

SCHEMA = "alchemy"
PATH = "/sql/1.0/warehouses/ingot"


@pytest.fixture(scope="module")
def engine(url):
    host = url.removeprefix("http://")
    address = f"databricks://token:any@{host}?http_path={PATH}&catalog=main&schema={SCHEMA}"
    engine = sa.create_engine(address, connect_args={"_connection_uri": url + PATH, "enable_telemetry": False})
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE SCHEMA IF NOT EXISTS main.{SCHEMA}"))
    yield engine
    engine.dispose()


@pytest.fixture
def flights(engine):
    """The table of `Flight`, empty."""
    columns = "id BIGINT NOT NULL, carrier STRING NOT NULL, delay DECIMAL(10, 2), day DATE, cancelled BOOLEAN NOT NULL"
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE OR REPLACE TABLE flights ({columns})"))
    return Flight.__table__


class Base(DeclarativeBase):
    pass


class Flight(Base):
    __tablename__ = "flights"

    id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    carrier: Mapped[str] = mapped_column(sa.String)
    delay: Mapped[Decimal | None] = mapped_column(sa.Numeric(10, 2))
    day: Mapped[date | None]
    cancelled: Mapped[bool] = mapped_column(default=False)


EVERY = sa.Table(
    "every_type",
    sa.MetaData(),
    sa.Column("tiny", TINYINT),
    sa.Column("small", sa.SmallInteger),
    sa.Column("i", sa.Integer),
    sa.Column("big", sa.BigInteger),
    sa.Column("f", sa.Float),
    sa.Column("d", sa.Numeric(10, 2)),
    sa.Column("s", sa.String),
    sa.Column("u", sa.Unicode),
    sa.Column("b", sa.Boolean),
    sa.Column("day", sa.Date),
    sa.Column("t", TIMESTAMP),
    sa.Column("n", TIMESTAMP_NTZ),
)
ROW = {
    "tiny": 1,
    "small": 2,
    "i": 3,
    "big": 2**40,
    "f": 0.5,
    "d": Decimal("1.25"),
    "s": "it's",
    "u": "Straße",
    "b": True,
    "day": date(2024, 2, 29),
    "t": datetime(2024, 2, 29, 12, 30, 0, 1),
    "n": datetime(2024, 2, 29, 12, 30),
}


def test_every_type_comes_back(engine):
    EVERY.drop(engine, checkfirst=True)
    EVERY.create(engine)
    nothing = dict.fromkeys(ROW)
    with engine.begin() as connection:
        connection.execute(sa.insert(EVERY), ROW)
        connection.execute(sa.insert(EVERY), nothing)
        rows = connection.execute(sa.select(EVERY).order_by(EVERY.c.i.desc())).mappings().all()
    first = dict(rows[0])
    first["t"] = first["t"].replace(tzinfo=None)
    assert first == ROW
    assert dict(rows[1]) == nothing


def test_what_there_is_is_reflected(engine, flights):
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE OR REPLACE VIEW first_flights AS SELECT * FROM flights WHERE id < 10"))
    inspector = sa.inspect(engine)
    assert SCHEMA in inspector.get_schema_names()
    assert "flights" in inspector.get_table_names()
    assert "first_flights" in inspector.get_view_names()
    assert inspector.has_table("flights")
    assert not inspector.has_table("nowhere")
    columns = {column["name"]: column for column in inspector.get_columns("flights")}
    assert list(columns) == ["id", "carrier", "delay", "day", "cancelled"]
    assert isinstance(columns["id"]["type"], sa.BigInteger)
    assert isinstance(columns["carrier"]["type"], sa.String)
    assert (columns["delay"]["type"].precision, columns["delay"]["type"].scale) == (10, 2)
    assert isinstance(columns["day"]["type"], sa.Date)
    assert isinstance(columns["cancelled"]["type"], sa.Boolean)
    assert not columns["id"]["nullable"]
    assert columns["delay"]["nullable"]
    assert inspector.get_indexes("flights") == []
    assert inspector.get_pk_constraint("flights")["constrained_columns"] == []
    assert inspector.get_foreign_keys("flights") == []
    reflected = sa.Table("flights", sa.MetaData(), autoload_with=engine)
    assert list(reflected.columns.keys()) == list(columns)
    with pytest.raises(sa.exc.NoSuchTableError):
        sa.Table("nowhere", sa.MetaData(), autoload_with=engine)


def test_objects_are_mapped(engine, flights):
    with Session(engine) as session:
        session.add(Flight(id=1, carrier="UA", delay=Decimal("2.50"), day=date(2013, 1, 1)))
        session.add_all([Flight(id=2, carrier="F9"), Flight(id=3, carrier="UA", cancelled=True)])
        session.commit()
    with Session(engine) as session:
        first = session.get(Flight, 1)
        assert (first.carrier, first.delay, first.day, first.cancelled) == ("UA", Decimal("2.50"), date(2013, 1, 1), False)
        first.delay = Decimal("3.00")
        session.delete(session.get(Flight, 3))
        session.commit()
    with Session(engine) as session:
        by_carrier = sa.select(Flight.carrier, sa.func.sum(Flight.delay)).group_by(Flight.carrier).order_by(Flight.carrier)
        assert session.execute(by_carrier).all() == [("F9", None), ("UA", Decimal("3.00"))]
        found = session.scalars(sa.select(Flight).where(Flight.carrier.in_(["UA", "DL"]), Flight.day.is_not(None)))
        assert [flight.id for flight in found] == [1]


def test_statements_are_built(engine, flights):
    rows = [{"id": n, "carrier": "UA" if n % 2 else "F9", "delay": Decimal(n), "cancelled": False} for n in range(50)]
    with engine.begin() as connection:
        connection.execute(sa.insert(flights), rows)
        connection.execute(sa.update(flights).where(flights.c.id >= 40).values(cancelled=True))
        connection.execute(sa.delete(flights).where(flights.c.id < 10))
        count = sa.select(sa.func.count(), sa.func.count().filter(flights.c.cancelled)).select_from(flights)
        assert connection.execute(count).one() == (40, 10)
        page = sa.select(flights.c.id).order_by(flights.c.id.desc()).limit(3).offset(2)
        assert connection.scalars(page).all() == [47, 46, 45]
        other = flights.alias()
        joined = sa.select(sa.func.count()).join_from(flights, other, flights.c.id == other.c.id + 1)
        assert connection.scalar(joined) == 39
        likes = sa.select(sa.func.count()).where(flights.c.carrier.like("U%"), ~flights.c.cancelled)
        assert connection.scalar(likes) == 15
        cte = sa.select(flights.c.carrier, sa.func.avg(flights.c.delay).label("mean")).group_by(flights.c.carrier).cte()
        assert connection.scalar(sa.select(sa.func.count()).select_from(cte)) == 2
        case = sa.case((flights.c.id > 45, "late"), else_="early")
        labels = connection.execute(sa.select(case, sa.func.count()).group_by(case).order_by(case)).all()
        assert labels == [("early", 36), ("late", 4)]


def test_an_error_is_one(engine):
    with engine.connect() as connection, pytest.raises(sa.exc.DatabaseError, match="TABLE_OR_VIEW_NOT_FOUND"):
        connection.execute(sa.text("SELECT * FROM nowhere"))


def test_pandas_writes_and_reads(engine):
    frame = pandas.DataFrame(
        {
            "id": [1, 2, 3],
            "name": ["a", None, "c"],
            "score": [0.5, None, 1.5],
            "day": [date(2024, 1, 1), None, date(2024, 1, 3)],
            "at": pandas.to_datetime(["2024-01-01 12:00", None, "2024-01-03 12:00"]),
            "good": [True, False, True],
        }
    )
    frame.to_sql("frames", engine, index=False, if_exists="replace")
    frame.to_sql("frames", engine, index=False, if_exists="append", method="multi")
    back = pandas.read_sql("SELECT * FROM frames ORDER BY id", engine)
    assert list(back.columns) == list(frame.columns)
    assert back["id"].tolist() == [1, 1, 2, 2, 3, 3]
    assert back["name"].dropna().tolist() == ["a", "a", "c", "c"]
    assert back["good"].tolist() == [True, True, False, False, True, True]
    table = pandas.read_sql_table("frames", engine)
    assert len(table) == 6
