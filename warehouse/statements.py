"""SQL text stands in files under warehouse/sql; this renders one with its names and literals quoted.

In a template `{{ path | literal }}` writes a text literal and `{{ column | name }}` an identifier.
An undefined variable is an error.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

SQL = Path(__file__).parent / "sql"


def quote_literal(text: object) -> str:
    """`text` as a SQL text literal."""
    return "'" + str(text).replace("'", "''") + "'"


def quote_name(text: object) -> str:
    """`text` as a SQL identifier."""
    return '"' + str(text).replace('"', '""') + '"'


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(SQL),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # it writes SQL; the two filters quote
    )
    environment.filters.update(literal=quote_literal, name=quote_name)
    return environment


def render(template: str, **values: Any) -> str:
    """The SQL of `warehouse/sql/<template>` with `values` filled in."""
    return _environment().get_template(template).render(**values)
