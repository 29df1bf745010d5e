"""The demo's inputs through the real connectors, without a warehouse."""

from collections.abc import Iterator
from pathlib import Path

from connectors.base import Connector, Parsed, Window
from flows.demo.company import AS_OF, START

SEED = 3
WHOLE = Window(START, AS_OF)


def deliveries(connector: Connector, folder: Path) -> Iterator[Parsed]:
    """What the connector makes of every delivery of the whole span, landed under `folder`."""
    for number, ref in enumerate(connector.discover(WHOLE)):
        files: dict[str, Path] = {}
        for payload in connector.fetch(ref):
            path = folder / str(number) / payload.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"".join(payload.chunks))
            files[payload.name] = path
        yield connector.parse(files)
