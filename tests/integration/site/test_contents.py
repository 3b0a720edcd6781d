"""The figures of a backup are the same whether the server sums them up or the process that asks does."""

from collections.abc import Iterator

import psycopg
import pytest

from remotegpu.site.backups import contents
from services import Stack

TABLES = """
CREATE TABLE plain (id integer, name text, data bytea, at timestamptz, took interval, share double precision);
INSERT INTO plain VALUES
  (1, '机器 one, "two" (three) \\ tab' || chr(9) || 'line' || chr(10) || '🐼', '\\x00ff27', now(), '3 days 2s', 0.1),
  (2, NULL, NULL, NULL, NULL, 'NaN'), (2, NULL, NULL, NULL, NULL, 'NaN'), (3, '', '', 'infinity', '-1 mon', 1e300);
CREATE TABLE many AS SELECT i AS id, repeat(md5(i::text), i % 40) AS text FROM generate_series(1, 3001) i;
CREATE TABLE "whole ""row" ("whole row" text, doubled integer GENERATED ALWAYS AS (2) STORED);
INSERT INTO "whole ""row" VALUES ('a');
CREATE TABLE bare ();
INSERT INTO bare DEFAULT VALUES;
CREATE TABLE parent (id integer) PARTITION BY RANGE (id);
CREATE TABLE child PARTITION OF parent FOR VALUES FROM (0) TO (9);
INSERT INTO parent VALUES (1), (2);
CREATE TABLE empty (id integer);
"""


@pytest.fixture
def connected(stack: Stack, empty_server_env: dict[str, str]) -> Iterator[psycopg.Connection]:
    with stack.connect(empty_server_env) as connection, connection.transaction():
        connection.execute(TABLES)
        yield connection


def test_both_ways_give_the_same_figures(connected: psycopg.Connection) -> None:
    found = contents.measure_gently(connected)
    assert found == contents.measure(connected)
    assert {name: figures.rows for name, figures in found.items()} == {
        "public.plain": 4,
        "public.many": 3001,
        'public.whole "row': 1,
        "public.bare": 1,
        "public.child": 2,
        "public.empty": 0,
    }


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE public.plain SET name = name || ' ' WHERE id = 1",
        "DELETE FROM public.plain WHERE ctid = (SELECT max(ctid) FROM public.plain WHERE id = 2)",
        "INSERT INTO public.bare DEFAULT VALUES",
    ],
)
def test_a_change_of_one_row_shows_in_both(connected: psycopg.Connection, change: bytes) -> None:
    before = contents.measure_gently(connected)
    connected.execute(change)
    after = contents.measure_gently(connected)
    assert after == contents.measure(connected)
    assert len(contents.differences(before, after)) == 1
