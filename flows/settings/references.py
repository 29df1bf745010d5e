"""${NAME} and ${prefect:block-name} in trendbreak.yml: a secret stands elsewhere, and is read when it is needed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flows.errors import SettingsError

_BLOCK = "prefect:"
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*|prefect:[a-z0-9][a-z0-9-]*)\}")
# Of libpq's `key=value`: what comes after the last `=`, quoted or not, up to here.
_IN_VALUE = re.compile(r"=\s*(?:'(?:[^'\\]|\\.)*|[^\s']\S*)?$")
_BEGINNING = re.compile(r"\$\{([^}\s\"']{0,60})(\}?)")


def has_reference(value: Any) -> bool:
    """Whether a text of `value` (a scalar, or lists and mappings of them) refers to something."""
    return any(_REFERENCE.search(text) for _, text in _texts(value, ""))


def check_references(value: Any, where: str) -> None:
    """Raises SettingsError for a `${` that is no reference; it would be taken as it stands."""
    for place, text in _texts(value, where):
        for match in _BEGINNING.finditer(text):
            if _REFERENCE.match(text, match.start()):
                continue
            # What follows an unclosed `${` may be the secret itself: only a closed name is shown.
            shown = f"`${{{match[1]}}}` is no reference" if match[2] else "`${` is not closed"
            raise SettingsError(
                f"{place}: {shown} — write ${{NAME}} for an environment variable (letters, digits, _), "
                f"or ${{prefect:block-name}} for a Prefect secret"
            )


def resolve(value: Any, environment: Mapping[str, str], where: str, *, prefect_home: Path | None = None) -> Any:
    """`value` with every reference in its texts replaced.

    `prefect_home`: where blocks are looked for, unless PREFECT_API_URL or PREFECT_HOME say it. Raises
    SettingsError naming `where` and what is missing, never a value.
    """
    if isinstance(value, str):
        return _REFERENCE.sub(lambda match: _read(match.group(1), environment, where, prefect_home), value)
    if isinstance(value, Mapping):
        return {
            key: resolve(item, environment, f"{where}.{key}", prefect_home=prefect_home) for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [
            resolve(item, environment, f"{where}[{index}]", prefect_home=prefect_home)
            for index, item in enumerate(value)
        ]
    return value


def resolve_address(
    address: str, environment: Mapping[str, str], where: str, *, prefect_home: Path | None = None
) -> str:
    """The address of a database with its references replaced, each quoted for its place: they may hold any character.

    In the user part and the query of a URL a value is percent-encoded, in libpq's `key=value` it is escaped. A
    reference to more than a value (the whole address, `user=… password=…`, host and port) is taken as it stands.
    """
    scheme, separator, rest = address.partition("://")
    authority = re.split(r"[/?]", rest, maxsplit=1)[0]
    user_end = len(scheme) + len(separator) + authority.rfind("@")
    query_start = address.find("?", user_end) if "?" in address else len(address)

    def replace(match: re.Match[str]) -> str:
        value = _read(match.group(1), environment, where, prefect_home)
        if separator:
            return quote(value, safe="") if match.start() < user_end or match.start() > query_start else value
        return re.sub(r"([\\'\s])", r"\\\1", value) if _IN_VALUE.search(address, 0, match.start()) else value

    return _REFERENCE.sub(replace, address)


def _read(name: str, environment: Mapping[str, str], where: str, prefect_home: Path | None) -> str:
    if name.startswith(_BLOCK):
        return _read_block(name.removeprefix(_BLOCK), where, prefect_home)
    if not environment.get(name):
        raise SettingsError(
            f"{where}: the environment variable {name} is not set — export {name}, "
            f"or write the key without it if it is not a secret"
        )
    return environment[name]


def _texts(value: Any, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(item, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _texts(item, f"{where}[{index}]")


def _read_block(name: str, where: str, prefect_home: Path | None) -> str:
    """The value of a Prefect Secret block. Raises SettingsError when there is none, or Prefect does not answer."""
    if prefect_home is not None:
        from flows.serving.prefect_home import prepare

        prepare(prefect_home)
    from prefect.blocks.system import Secret

    try:
        secret = Secret.load(name).get()  # type: ignore[union-attr]
    except ValueError:
        raise SettingsError(
            f"{where}: Prefect has no secret block named {name!r} — make one in Prefect's UI (Blocks, Secret), "
            f"or see docs/configuration.md"
        ) from None
    except Exception as error:  # whatever the API's client raises; its text may carry the block
        raise SettingsError(
            f"{where}: Prefect does not answer for the secret block {name!r} ({type(error).__name__}) "
            f"— is PREFECT_API_URL right, and its server running?"
        ) from None
    if not isinstance(secret, str):
        raise SettingsError(f"{where}: the Prefect secret block {name!r} must hold a text, not {type(secret).__name__}")
    return secret
