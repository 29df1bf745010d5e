"""The keys that every telemetry source accepts."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from connectors import base
from connectors.calls.projection import Projection
from connectors.http_api import ApiKey
from connectors.object_storage import LocationOptions


class CallsOfOthers(BaseModel):
    """Calls that another source is the source of record for; a key that is left out stands for any."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    feature: str | None = None
    provider: str | None = None

    @model_validator(mode="after")
    def _names_something(self) -> CallsOfOthers:
        if self.feature is None and self.provider is None:
            raise ValueError("name a feature, a provider, or both")
        return self


class TelemetryOptions(base.Options):
    """`user_hash_key`: the key under which user ids are hashed; a run gives the home's own where none is set.

    `first_attempt`: the number that the source gives to a first attempt; 0 where it counts from there.
    `leave_out`: calls, by feature and provider, that another source reports and that would count twice.
    """

    no_part_of_identity: ClassVar[frozenset[str]] = frozenset({"user_hash_key", "location"})
    user_hash_key: ApiKey | None = None
    first_attempt: Literal[0, 1] = 1
    leave_out: tuple[CallsOfOthers, ...] = ()

    def hash_key(self) -> bytes | None:
        return self.user_hash_key.get_secret_value().encode() if self.user_hash_key else None

    def projection(self) -> Projection:
        left_to_others = [(one.feature, one.provider) for one in self.leave_out]
        return Projection(self.hash_key(), left_to_others, first_attempt=self.first_attempt)

    def fingerprint(self, version: int) -> str:
        """Changes with the reader's `version` and whatever else decides what is read of the same bytes."""
        import hashlib
        import hmac

        said = self.model_dump_json(exclude=set(self.no_part_of_identity))
        key = hmac.digest(self.hash_key() or b"", b"trendbreak projection", "sha256").hex()
        return f"v{version}-{hashlib.sha256(f'{said}{key}'.encode()).hexdigest()[:12]}"


class TelemetryFileOptions(TelemetryOptions, LocationOptions):
    """Telemetry in files of a folder or of s3://bucket/prefix."""
