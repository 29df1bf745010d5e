"""Bedrock's invocation logs of some days in a folder laid out as the bucket is, for the conformance suite."""

from __future__ import annotations

import gzip
import json
from datetime import datetime
from typing import Any

from tests.connectors.log_world import LogWorld, as_lines

BASE = "AWSLogs/111122223333/BedrockModelInvocationLogs/us-east-1"


def invocation(n: int, moment: datetime, **changes: Any) -> dict[str, Any]:
    """A record as the user guide shows it."""
    return {
        "schemaType": "ModelInvocationLog",
        "schemaVersion": "1.0",
        "timestamp": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "accountId": "111122223333",
        "identity": {"arn": "arn:aws:sts::111122223333:assumed-role/app/session"},
        "region": "us-east-1",
        "requestId": f"915a6a04-{n}",
        "operation": "Converse",
        "modelId": "anthropic.claude-3-haiku-20240307-v1:0",
        "input": {
            "inputContentType": "application/json",
            "inputBodyJson": {"messages": [{"role": "user", "content": [{"text": "canary-prompt-25"}]}]},
            "inputTokenCount": 35 + n,
            "cacheReadInputTokenCount": 7,
            "cacheWriteInputTokenCount": 0,
        },
        "output": {
            "outputContentType": "application/json",
            "outputBodyJson": {"output": {"message": "canary-prompt-25"}},
            "outputTokenCount": 446,
        },
        "requestMetadata": {"feature": "support_chat", "task_id": f"t-{n // 2}", "user_id": f"user-{n % 5}"},
        "inferenceRegion": "us-east-1",
    } | changes


class BedrockLogsWorld(LogWorld):
    source_type = "bedrock_logs"
    reads_all_days = False

    def record(self, n: int, moment: datetime) -> dict[str, Any]:
        record = invocation(n, moment)
        if self.rng.random() < 0.3:
            del record["input"]["cacheReadInputTokenCount"]
        return record

    def _write(self) -> None:
        by_hour: dict[str, list[dict[str, Any]]] = {}
        for record, moment in zip(self._records, self._moments, strict=True):
            by_hour.setdefault(f"{moment:%Y/%m/%d/%H}", []).append(self._varied(record))
        written = set(self._folder.rglob("*.json.gz"))
        for path in written:
            path.write_bytes(gzip.compress(b""))
        for hour, records in by_hour.items():
            folder = self._folder / BASE / hour
            (folder / "data").mkdir(parents=True, exist_ok=True)
            (folder / f"{hour.replace('/', '')}Z_abc.json.gz").write_bytes(gzip.compress(as_lines(records)))
            (folder / "data" / "915a6a04_input.json.gz").write_bytes(gzip.compress(json.dumps({"a": 1}).encode()))
        (self._folder / "AWSLogs" / "111122223333" / "BedrockModelInvocationLogs").mkdir(parents=True, exist_ok=True)
