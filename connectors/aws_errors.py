"""What boto3 raises, as the connectors' own errors: each with the setting or permission that cures it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from connectors.errors import (
    ConfigError,
    ConnectorError,
    CredentialError,
    IncompleteDelivery,
    PagingError,
    PermissionDenied,
    TransientError,
)

AGAIN = "it is tried again at the next run"
LATER = "nothing of the delivery was loaded; it is read again at the next run"


@dataclass(frozen=True)
class Access:
    """How AWS is reached, as far as an error has to name it."""

    bucket: str = ""
    endpoint_url: str | None = None
    role_arn: str | None = None
    external_id: str | None = None


# Error codes as documented in the S3 and STS API references ("Error responses").
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"})
_REFUSED = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "InvalidClientTokenId"}
    | {"UnrecognizedClientException", "AuthFailure", "NotSignedUp", "InvalidSecurity", "MissingSecurityHeader"}
)
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "AllAccessDisabled", "UnauthorizedAccess", "403"})
_WRONG_REGION = frozenset({"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"})
_BUSY = frozenset(
    {"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException"}
    | {"RequestTimeout", "InternalError", "ServiceUnavailable", "OperationAborted", "Busy"}
)


def explain_aws_error(error: Exception, *, permission: str, where: str, access: Access) -> ConnectorError:
    """What boto3 raised, as the error that says what to do. The server's own text is not repeated:
    it may quote the request, and the request carries a credential's id."""
    from botocore import exceptions as aws
    from botocore.parsers import ResponseParserError
    from urllib3.exceptions import HTTPError

    if isinstance(error, ConnectorError):
        return error
    if isinstance(error, aws.ClientError):
        return _explain_answer(error, permission=permission, where=where, access=access)
    kind = type(error).__name__
    if isinstance(
        error,
        aws.NoCredentialsError
        | aws.PartialCredentialsError
        | aws.CredentialRetrievalError
        | aws.ProfileNotFound
        | aws.TokenRetrievalError
        | aws.SSOError,
    ):
        return CredentialError(
            f"no usable AWS credentials ({kind})",
            where=where,
            cure="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run where a role is attached",
        )
    if isinstance(error, aws.NoRegionError):
        return ConfigError("no AWS region is known", where=where, cure="set region, or AWS_DEFAULT_REGION")
    if isinstance(error, aws.PaginationError):
        return PagingError(
            "the server repeats a page of its listing, so the listing never ends",
            where=where,
            cure="nothing of it was loaded; check the server behind endpoint_url",
        )
    if isinstance(error, aws.EndpointConnectionError | aws.ConnectTimeoutError | aws.ProxyConnectionError):
        return TransientError(
            f"cannot connect to {access.endpoint_url or 'AWS'} ({kind})",
            where=where,
            cure=f"{AGAIN}; if it stays, check endpoint_url, region and the network",
        )
    if isinstance(error, aws.ParamValidationError | aws.InvalidEndpointConfigurationError):
        return ConfigError(
            f"not a usable location ({kind})", where=where, cure="check the bucket's name, region and endpoint_url"
        )
    if isinstance(error, ResponseParserError):
        return ConfigError("the server does not answer as S3 does", where=where, cure="check endpoint_url")
    if isinstance(error, aws.BotoCoreError | aws.HTTPClientError | HTTPError | OSError):
        return TransientError(f"the connection broke ({kind})", where=where, cure=AGAIN)
    raise error


def _explain_answer(error: Any, *, permission: str, where: str, access: Access) -> ConnectorError:
    answer = error.response
    code = str(answer.get("Error", {}).get("Code", ""))
    facts = answer.get("ResponseMetadata", {})
    status = facts.get("HTTPStatusCode", 0)
    headers = facts.get("HTTPHeaders", {})
    if code in _EXPIRED:
        return CredentialError(
            f"the AWS credentials have expired ({code})", where=where, cure="sign in again, or renew the session token"
        )
    if code == "RequestTimeTooSkewed":
        return CredentialError(
            "AWS refuses the request because this machine's clock is wrong", where=where, cure="set the clock (NTP)"
        )
    if code in _REFUSED:
        return CredentialError(
            f"AWS refuses the credentials ({code})",
            where=where,
            cure="check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or the profile in use",
        )
    if code in _DENIED or (status == 403 and code != "InvalidObjectState"):
        return _denied(str(answer.get("Error", {}).get("Message", "")), code, permission, where, access)
    if code == "NoSuchBucket":
        return ConfigError(
            f"there is no bucket {access.bucket!r}", where=where, cure="correct location, or endpoint_url and region"
        )
    if code in _WRONG_REGION or status == 301:
        region = headers.get("x-amz-bucket-region")
        return ConfigError(
            f"the bucket {access.bucket!r} is in another region" + (f", {region}" if region else ""),
            where=where,
            cure=f"set region: {region}" if region else "set region to the bucket's own",
        )
    if code == "InvalidObjectState":
        return ConfigError(
            "the object is archived (Glacier) and cannot be read",
            where=where,
            cure="restore it, or keep billing exports out of the archiving rule",
        )
    if status == 404 and permission == "s3:ListBucket":
        return ConfigError("the server does not answer as S3 does (404)", where=where, cure="check endpoint_url")
    if status == 404:
        return IncompleteDelivery("the object is gone", where=where, cure=LATER)
    if status == 412 or code == "ConditionalRequestConflict":
        return IncompleteDelivery("the object changed while it was being read", where=where, cure=LATER)
    if code in _BUSY or status == 429 or status >= 500:
        return TransientError(f"the server is busy or failing ({code or status})", where=where, cure=AGAIN)
    return ConfigError(
        f"the server refuses the request ({code or status})",
        where=where,
        cure="check location, region and endpoint_url",
    )


def _denied(said: str, code: str, permission: str, where: str, access: Access) -> ConnectorError:
    if "kms:" in said.lower():
        permission, on = "kms:Decrypt", "the KMS key that encrypts the bucket"
    elif permission == "sts:AssumeRole":
        on = f"{access.role_arn} (and the role must trust this identity" + (
            " with this external_id)" if access.external_id else "; set external_id if its trust policy asks for one)"
        )
    elif permission == "s3:ListBucket":
        on = f"arn:aws:s3:::{access.bucket}"
    else:
        on = f"arn:aws:s3:::{access.bucket}/*"
    return PermissionDenied(
        f"access denied ({code or 403}): {permission} is missing", where=where, cure=f"allow {permission} on {on}"
    )
