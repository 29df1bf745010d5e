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
        elif character == "[" and (end := _find_set_end(glob, place)) > 0:
            members = glob[place:end]
            negated = members.startswith("!")
            # Only - keeps a meaning inside a set; every other special character is itself.
            body = "".join(f"\\{c}" if c in r"\[]^" else c for c in members.removeprefix("!"))
            out.append(f"[{'^' if negated else ''}{body}]")
            place = end + 1
        else:
            out.append(escape(character))
    return f"(?s)^(?:{''.join(out)})$"


def has_open_set(glob: str) -> bool:
    """Whether a `[` is never closed: it stands for itself then, which nobody means who writes it."""
    place = glob.find("[")
    while place >= 0:
        end = _find_set_end(glob, place + 1)
        if end < 0:
            return True
        place = glob.find("[", end + 1)
    return False


def _find_set_end(glob: str, place: int) -> int:
    """Where the set whose members begin at `place` is closed; -1 where it is not. A first `]` is a member."""
    return glob.find("]", place + (2 if glob[place : place + 1] == "!" else 1))


def escape(text: str) -> str:
    """`text` as an RE2 pattern that matches nothing else."""
    return "".join(f"\\{character}" if character in _SPECIAL else character for character in text)
