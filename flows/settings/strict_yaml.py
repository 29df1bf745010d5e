"""YAML as a configuration needs it: no key twice, no aliases, nothing but plain data.

PyYAML lets the second of two equal keys win, and a few lines of aliases stand for billions of nodes.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml


class StrictYamlError(Exception):
    """`str(error)` names the line and what is wrong there."""


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]
            line = event.start_mark.line + 1
            raise StrictYamlError(f"line {line}: aliases (*{event.anchor}) are not read — write it out")
        return super().compose_node(parent, index)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except ValueError as error:  # a date such as 2026-02-30, a number of thousands of digits
            raise StrictYamlError(f"line {node.start_mark.line + 1}: {error}") from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise StrictYamlError(f"line {line}: a key must be a plain text")
            name = key_node.value
            if name in seen:
                raise StrictYamlError(f"line {line}: {name!r} is written twice; the second would silently win")
            seen.add(name)
        return super().construct_mapping(node, deep)


def load_strict_yaml(text: str) -> Any:
    """The document's plain content. Raises StrictYamlError."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise StrictYamlError(f"line {mark.line + 1 if mark else 1}: not valid YAML: {problem}") from None
    except RecursionError:
        raise StrictYamlError("not valid YAML: nested too deeply") from None
