"""The child process of warehouse.query: runs one statement on the snapshot and writes Arrow to stdout.

Run as a script with `python -I`, so it imports nothing of this project. Request: one JSON object on
stdin. Answer: an Arrow IPC stream on stdout, or, with exit code 1, the error as one JSON object on stderr.
Where more rows than `max_rows` exist, one more than `max_rows` is sent.
"""

from __future__ import annotations

import json
import sys
from typing import Any

# What the process may use beyond DuckDB's own memory_limit: result batches, the parser, threads' stacks.
HEADROOM_BYTES = 768 * 1024 * 1024


def main() -> int:
    """Serve one request."""
    request = json.load(sys.stdin)
    import duckdb
    import pyarrow as pa

    # pyarrow loads this lazily; under the limit below it could no longer be mapped.
    import pyarrow.ipc as ipc

    if not request["unsafe"]:
        _limit_memory(request["memory_bytes"] + HEADROOM_BYTES)
    try:
        with duckdb.connect(request["path"], read_only=True, config=_config(request)) as con:
            statements = con.extract_statements(request["sql"])
            # PIVOT becomes two statements, which DuckDB makes up and which have no text of their own.
            written = [statement for statement in statements if statement.query]
            if not statements or (written and len(statements) > 1):
                return _fail("Statement", f"found {len(statements)} statements")
            result = con.execute(request["sql"])
            batches = result.to_arrow_reader(50_000)
            left = request["max_rows"]
            sink = sys.stdout.buffer
            with ipc.new_stream(sink, batches.schema) as writer:
                for batch in batches:
                    if left is not None:
                        batch = batch.slice(0, left + 1)
                        left -= batch.num_rows
                    writer.write_batch(batch)
                    if left is not None and left < 0:
                        break
    except duckdb.CatalogException as error:
        return _fail("CatalogException", str(error), _tables(request["path"]))
    except (duckdb.Error, pa.ArrowException) as error:
        return _fail(type(error).__name__, str(error))
    except MemoryError as error:
        return _fail("MemoryError", str(error))
    return 0


def _config(request: dict[str, Any]) -> dict[str, Any]:
    if request["unsafe"]:
        return {}
    return {
        "enable_external_access": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        "memory_limit": request["memory_limit"],
        "temp_directory": "",
        "threads": 2,
        "lock_configuration": True,
    }


def _limit_memory(extra_bytes: int) -> None:
    """Cap the address space at what is mapped now plus `extra_bytes`. repeat() and the like allocate outside
    of DuckDB's memory_limit."""
    try:
        import resource

        with open("/proc/self/statm", encoding="ascii") as statm:
            mapped = int(statm.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + extra_bytes, mapped + extra_bytes))
    except (ImportError, OSError, ValueError):
        return  # not Linux: DuckDB's own limit and the parent's timeout remain


def _tables(path: str) -> list[str]:
    import duckdb

    with duckdb.connect(path, read_only=True) as con:
        rows = con.execute(
            "SELECT table_schema || '.' || table_name FROM information_schema.tables ORDER BY ALL"
        ).fetchall()
    return [row[0] for row in rows]


def _fail(kind: str, text: str, tables: list[str] | None = None) -> int:
    json.dump({"kind": kind, "text": text, "tables": tables or []}, sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
