"""The patterns of rules, as RE2 texts: no text in a bill can make one slow."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

_SPECIAL = frozenset(r"\.+*?()|[]{}^$")


class PatternError(ValueError):
    """A glob or regex that cannot be used."""


def compile_pattern(operator: str, operand: str) -> str:
    """The RE2 text of a `prefix`, `glob` or `regex` operand. Raises PatternError where RE2 refuses it."""
    if operator == "prefix":
        return f"^{escape(operand)}"
    pattern = glob_to_regex(operand) if operator == "glob" else operand
    try:
        pc.match_substring_regex(pa.array([""]), pattern=pattern)
    except pa.ArrowInvalid as error:
        reason = str(error).removeprefix("Invalid regular expression: ")
        raise PatternError(f"is not a usable {operator} (RE2 syntax): {reason}") from None
    return pattern


def glob_to_regex(glob: str) -> str:
    """`*` any run, `?` any one character, `[abc]` and `[!abc]` sets; the whole text must match."""
    out = []
    place = 0
    while place < len(glob):
        character = glob[place]
        place += 1
        if character == "*":
            out.append(".*")
        elif character == "?":
            out.append(".")
        elif character == "[" and (end := glob.find("]", place + (2 if glob[place : place + 1] == "!" else 1))) > 0:
            members = glob[place:end]
            negated = members.startswith("!")
            # Only - keeps a meaning inside a set; every other special character is itself.
            body = "".join(f"\\{c}" if c in r"\[]^" else c for c in members.removeprefix("!"))
            out.append(f"[{'^' if negated else ''}{body}]")
            place = end + 1
        else:
            out.append(escape(character))
    return f"(?s)^(?:{''.join(out)})$"


def escape(text: str) -> str:
    """`text` as an RE2 pattern that matches nothing else."""
    return "".join(f"\\{character}" if character in _SPECIAL else character for character in text)
