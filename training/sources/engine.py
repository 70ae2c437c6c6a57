"""DuckDB, as the readers use it: in memory, on Arrow columns, offline."""

from __future__ import annotations

from typing import Any

import duckdb

from training.errors import DataInvalid


def query(sql: str, **tables: Any) -> Any:
    """The result of one statement over the named pyarrow Tables, as a pyarrow Table in the tables' row order.

    Raises `DataInvalid` for text that is not UTF-8.
    """
    # Nothing of ours needs an extension that is not in the wheel, and a run must not fetch one.
    config: dict[str, str | bool | int | float | list[str]] = {"autoinstall_known_extensions": "false"}
    with duckdb.connect(config=config) as connection:
        for name, table in tables.items():
            connection.register(name, table)
        try:
            return connection.sql(sql).to_arrow_table()
        except duckdb.InvalidInputException as exc:
            detail = str(exc).splitlines()[0]
            raise DataInvalid(f"a text column holds bytes that are not UTF-8 ({detail}); export it as UTF-8") from exc
