"""AWS as a source is configured to reach it: whose credentials, which role, which address."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from connectors.aws_errors import Access, explain_aws_error
from connectors.base import Options
from connectors.http_api import BaseUrl, RetryPolicy

DEFAULT_REGION = "us-east-1"


class AwsOptions(Options):
    """The keys that every source on AWS accepts.

    `endpoint_url`: another server than AWS's own (MinIO, a VPC endpoint, a test); `region` of the service.
    `role_arn`, `external_id`: a role to assume first. Credentials come from boto3's own chain:
    environment, profile, workload identity, instance role.
    """

    endpoint_url: BaseUrl | None = None
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")] | None = None
    role_arn: Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$")] | None = None
    external_id: Annotated[str, Field(min_length=2, max_length=1224)] | None = None

    @model_validator(mode="after")
    def _external_id_needs_a_role(self) -> AwsOptions:
        if self.external_id and not self.role_arn:
            raise ValueError("external_id has no meaning without role_arn")
        return self


def open_client(
    service: str, options: AwsOptions, retry: RetryPolicy, *, attempts: int, region: str | None = None
) -> Any:
    """A boto3 client of `service`, in the configured role. `attempts`: how often botocore itself tries.

    `region` is used where neither the options nor the environment name one. Raises what boto3 raises,
    and the connectors' own error where the role cannot be assumed.
    """
    import boto3

    settings = _settings(retry, attempts)
    core = _core_session()
    if options.role_arn:
        core = _in_role(options, retry, settings)
    region = options.region or core.get_config_variable("region") or region
    session = boto3.Session(botocore_session=core, region_name=region)
    return session.client(service, endpoint_url=options.endpoint_url, config=settings)  # type: ignore[call-overload]


def open_sts(options: AwsOptions, retry: RetryPolicy, *, in_role: bool) -> Any:
    """A boto3 client of STS, with the credentials of the chain or in the configured role."""
    import boto3

    settings = _settings(retry, retry.attempts)
    core = _in_role(options, retry, settings) if in_role and options.role_arn else _core_session()
    region = options.region or core.get_config_variable("region") or DEFAULT_REGION
    # A server that is not AWS answers STS at its own address; an AWS endpoint_url is its service's alone.
    host = urlsplit(options.endpoint_url or "").hostname or ""
    is_aws = not host or host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws"))
    endpoint = None if is_aws else options.endpoint_url
    session = boto3.Session(botocore_session=core, region_name=region)
    return session.client("sts", region_name=region, endpoint_url=endpoint, config=settings)


def _settings(retry: RetryPolicy, attempts: int) -> Any:
    from botocore.config import Config

    return Config(
        retries={"mode": "standard", "total_max_attempts": attempts},
        connect_timeout=retry.connect_timeout_seconds,
        read_timeout=retry.read_timeout_seconds,
        user_agent_extra="trendbreak",
    )


def _in_role(options: AwsOptions, retry: RetryPolicy, settings: Any) -> Any:
    """A core session whose credentials are the role's."""
    from botocore.credentials import RefreshableCredentials

    role = {"RoleArn": options.role_arn, "RoleSessionName": "trendbreak"}
    if options.external_id:
        role["ExternalId"] = options.external_id
    sts = open_sts(options, retry, in_role=False)

    def assume() -> dict[str, str]:
        try:
            given = sts.assume_role(**role)["Credentials"]
        except Exception as error:
            access = Access("", options.endpoint_url, options.role_arn, options.external_id)
            raise explain_aws_error(
                error, permission="sts:AssumeRole", where=str(options.role_arn), access=access
            ) from None
        return {
            "access_key": given["AccessKeyId"],
            "secret_key": given["SecretAccessKey"],
            "token": given["SessionToken"],
            "expiry_time": given["Expiration"].isoformat(),
        }

    # They renew themselves: a large export can take longer to read than one set is valid.
    core = _core_session()
    core._credentials = RefreshableCredentials.create_from_metadata(
        metadata=assume(), refresh_using=assume, method="sts-assume-role"
    )
    return core


def _core_session() -> Any:
    from botocore.session import get_session

    core = get_session()
    core.register_component("data_loader", _service_models())
    return core


@cache
def _service_models() -> Any:
    """AWS's service descriptions, parsed once: they are most of what a client costs (0.15 s)."""
    from botocore.loaders import create_loader

    return create_loader()
