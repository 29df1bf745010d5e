"""What pydantic found wrong in a configuration, in plain words. No value is repeated: it may be a secret."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel

_WORDS = {
    "missing": "this key is required",
    "string_type": "must be a text; quote it if it looks like a number or a date",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "is too large",
    "int_from_float": "must be a whole number",
    "decimal_type": "must be a number",
    "decimal_parsing": "must be a number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "path_type": "must be a path",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "set_type": "must be a list",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
    "mapping_type": "must be a mapping of keys to values",
    "decimal_max_digits": "has too many digits",
    "decimal_max_places": "has too many decimal places",
    "decimal_whole_digits": "is too large",
    "none_required": "must be empty",
}
_BOUNDS = {
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be {ge} or more",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be {le} or less",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "string_pattern_mismatch": "has not the expected form, {pattern}",
    "literal_error": "must be one of {expected}",
    "enum": "must be one of {expected}",
}


def explain(
    name: str, problems: Iterable[Any], model: type[BaseModel], prefix: str = "", *, also: Iterable[str] = ()
) -> str:
    """`problems`: of `ValidationError.errors()`; `name`: the file; `prefix`: where in it `model` stands.

    `also`: keys that stand beside the model's own.
    """
    lines = [f"{prefix}{_key(problem['loc'])}: {_words(problem, model, also)}" for problem in problems]
    return f"{name}: " + "\n  ".join(line.replace(".: ", ": ") for line in lines)


def nearest(name: str, valid: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing."""
    close = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def _key(location: Sequence[int | str]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")


def _words(problem: Any, model: type[BaseModel], also: Iterable[str]) -> str:
    kind, location, context = problem["type"], problem["loc"], problem.get("ctx", {})
    if kind == "extra_forbidden":
        valid = sorted({*_valid_keys(model, location[:-1]), *(also if len(location) == 1 else ())})
        return f"unknown key{nearest(str(location[-1]), valid)} — valid keys: {', '.join(valid)}"
    if kind in _WORDS:
        return _WORDS[kind]
    if kind in _BOUNDS:
        return _BOUNDS[kind].format(**context)
    if kind.startswith(("date_", "datetime_")):
        return "must be a date such as 2026-01-31"
    text = str(problem["msg"])
    return text.removeprefix("Value error, ").removeprefix("Assertion failed, ")


def _valid_keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    current: type[BaseModel] = model
    for part in location:
        if isinstance(part, int):
            continue
        found = _model_of(current.model_fields[part].annotation) if part in current.model_fields else None
        if found is None:
            break
        current = found
    return sorted(field.alias or name for name, field in current.model_fields.items())


def _model_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_of(argument)
        if found is not None:
            return found
    return None
