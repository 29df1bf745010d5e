"""Cost Explorer through boto3: bounded retries, bounded paging, answers byte for byte.

boto3 signs and sends; its reading of the answer is not used. It drops fields that it does not know,
and takes an answer that is no JSON for an empty one.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from email.utils import parsedate_to_datetime
from typing import Any

from connectors.aws_errors import AGAIN, Access, explain_aws_error
from connectors.aws_sessions import DEFAULT_REGION, AwsOptions, open_client, open_sts
from connectors.documents import decode, read_text
from connectors.errors import (
    ConfigError,
    ConnectorError,
    CredentialError,
    IncompleteDelivery,
    PagingError,
    PayloadError,
    PermissionDenied,
    TransientError,
)
from connectors.http_api import Page, RetryPolicy, retry_after_seconds, wait_before_retry

PERMISSION = "ce:GetCostAndUsage"
# AWS documents no page size. Seen: thousands of groups per page; so this is far above any real answer.
MOST_PAGES = 1000
MOST_PAGES_WITHOUT_GROUPS = 20

# Error codes as the API reference of GetCostAndUsage documents them.
_BUSY = frozenset({"LimitExceededException", "ThrottlingException", "Throttling", "TooManyRequestsException"})
_PAGES_LOST = frozenset({"InvalidNextTokenException", "RequestChangedException", "BillExpirationException"})
_DENIED = frozenset({"AccessDeniedException", "AccessDenied", "UnauthorizedAccess"})
_TOO_OLD = re.compile(r"historical data|14 months|too old", re.IGNORECASE)
_KEY_ID = re.compile(r"\bA(?:KIA|SIA)[A-Z0-9]{8,}\b")


class HistoryNotKept(ConfigError):
    """The days lie further back than Cost Explorer keeps them."""


@dataclass(frozen=True)
class Caller:
    """Who asks, as STS tells it (free of charge), and the server's day."""

    account: str
    arn: str
    today: date


class CostExplorer:
    """One account's Cost Explorer. Constructing does no I/O."""

    def __init__(self, source_name: str, options: AwsOptions, retry: RetryPolicy) -> None:
        self._source_name = source_name
        self._options = options
        self._retry = retry
        self._opened: Any = None
        self._lock = threading.Lock()
        self._answer = threading.local()

    def pages(self, request: Mapping[str, Any], *, where: str) -> Iterator[Page]:
        """Answers until AWS gives no further token.

        Raises PagingError when a token comes twice, or when there is no end: stopping there without a
        word would understate the bill, and each page is paid for.
        """
        where = f"{self._source_name}: {where}"
        seen: set[str] = set()
        asked = dict(request)
        without_groups = 0
        for number in range(1, MOST_PAGES + 1):
            page = self._ask(asked, f"{where} page {number}")
            yield page
            token = read_text(page.document, "NextPageToken", where=page.where)
            if token is None:
                return
            if token in seen:
                raise PagingError(
                    "AWS sent the same cursor twice, so the answer never ends",
                    where=page.where,
                    cure="nothing of it was loaded; run again later, and report it to AWS if it stays",
                )
            seen.add(token)
            asked["NextPageToken"] = token
            days = page.document.get("ResultsByTime")
            has_groups = isinstance(days, list) and any(isinstance(day, dict) and day.get("Groups") for day in days)
            without_groups = 0 if has_groups else without_groups + 1
            if without_groups >= MOST_PAGES_WITHOUT_GROUPS:
                break
        raise PagingError(
            f"{number} pages came and AWS still promises more than these days can hold",
            where=where,
            cure="nothing of it was loaded; run again later, and report it to AWS if it stays",
        )

    def caller(self) -> Caller:
        """Raises the connectors' own errors where STS cannot be asked."""
        where = f"{self._source_name}: sts:GetCallerIdentity"
        try:
            answer = open_sts(self._options, self._retry, in_role=True).get_caller_identity()
            told = answer["ResponseMetadata"]["HTTPHeaders"]["date"]
            return Caller(answer["Account"], answer["Arn"], parsedate_to_datetime(told).date())
        except (KeyError, ValueError):
            raise PayloadError("the server does not answer as STS does", where=where) from None
        except Exception as error:
            raise explain_aws_error(
                error, permission="sts:GetCallerIdentity", where=where, access=self._access()
            ) from None

    def _ask(self, request: Mapping[str, Any], where: str) -> Page:
        from tenacity import Retrying, retry_if_exception, stop_after_attempt

        def can_pass(error: BaseException) -> bool:
            if isinstance(error, TransientError):
                return (error.retry_after_seconds or 0) <= self._retry.longest_wait_seconds
            # A gateway in between can cut or replace one answer; it does not do it thrice.
            return isinstance(error, PayloadError)

        retrying = Retrying(
            stop=stop_after_attempt(self._retry.attempts),
            wait=wait_before_retry(self._retry),
            retry=retry_if_exception(can_pass),
            reraise=True,
        )
        return retrying(self._ask_once, request, where)

    def _ask_once(self, request: Mapping[str, Any], where: str) -> Page:
        self._answer.body = self._answer.length = None
        try:
            self._client().get_cost_and_usage(**request)
        except Exception as error:
            # What boto3 cannot read is read here, and the error then says where it is wrong.
            if self._answer.body is None or self._answer.status != 200:
                raise self._explained(error, where) from None
        body: bytes = self._answer.body or b""
        if self._answer.length is not None and len(body) < self._answer.length:
            raise TransientError("the answer broke off", where=where, cure=AGAIN)
        return Page(body=body, document=decode(body, where=where), where=where)

    def _client(self) -> Any:
        with self._lock:
            if self._opened is None:
                client = open_client("ce", self._options, self._retry, attempts=1, region=DEFAULT_REGION)
                client.meta.events.register("before-parse.cost-explorer.GetCostAndUsage", self._keep_answer)
                self._opened = client
            return self._opened

    def _keep_answer(self, response_dict: Mapping[str, Any], **_: Any) -> None:
        self._answer.status, self._answer.body = response_dict["status_code"], response_dict["body"]
        headers = response_dict["headers"]
        length = headers.get("content-length", "") if "content-encoding" not in headers else ""
        self._answer.length = int(length) if length.isdecimal() else None

    def _access(self) -> Access:
        given = self._options
        return Access("", given.endpoint_url, given.role_arn, given.external_id)

    def _explained(self, error: Exception, where: str) -> ConnectorError:
        from botocore import exceptions as aws
        from botocore.parsers import ResponseParserError

        if isinstance(error, ResponseParserError):
            return _not_cost_explorer(where)
        if isinstance(error, aws.ParamValidationError | aws.InvalidEndpointConfigurationError):
            return ConfigError("not a usable request", where=where, cure="check region, endpoint_url and split_by")
        if isinstance(error, aws.ClientError):
            found = _explain_answer(error, where)
            if found is not None:
                return found
        return explain_aws_error(error, permission=PERMISSION, where=where, access=self._access())


def _not_cost_explorer(where: str) -> ConfigError:
    return ConfigError("the server does not answer as Cost Explorer does", where=where, cure="check endpoint_url")


def _explain_answer(error: Any, where: str) -> ConnectorError | None:
    """What is Cost Explorer's own; None for what all of AWS's services answer alike."""
    answer = error.response
    code = str(answer.get("Error", {}).get("Code", ""))
    facts = answer.get("ResponseMetadata", {})
    status = facts.get("HTTPStatusCode", 0)
    # Of a refused request only: that text is about days and groups, and quotes no credential.
    said = _KEY_ID.sub("***", " ".join(str(answer.get("Error", {}).get("Message", "")).split()))[:300]
    if code in _BUSY or status in (408, 425, 429) or (status >= 500 and status != 501):
        return TransientError(
            f"Cost Explorer is busy or failing ({code or status})",
            where=where,
            cure=AGAIN,
            retry_after_seconds=retry_after_seconds(facts.get("HTTPHeaders", {})),
        )
    if code in _PAGES_LOST:
        return TransientError(f"AWS changed its figures between two pages ({code})", where=where, cure=AGAIN)
    if code in _DENIED and "not enabled" in said.lower():
        return PermissionDenied(
            f"Cost Explorer is not open to this account ({code})",
            where=where,
            cure="enable Cost Explorer in the Billing console of the management account, and its access for members",
        )
    if code in _DENIED or (status == 403 and code == "403"):
        return PermissionDenied(
            f"access denied ({code}): {PERMISSION} is missing",
            where=where,
            cure=f"allow {PERMISSION} on * for this identity; in an organization, in the management account",
        )
    if code in ("DataUnavailableException", "BillingViewHealthStatusException"):
        return IncompleteDelivery(
            f"AWS has no data for these days yet ({code})",
            where=where,
            cure="a newly enabled Cost Explorer needs about 24 hours; it is asked again at the next run",
        )
    if code == "ValidationException" and _TOO_OLD.search(said):
        return HistoryNotKept(
            f"AWS keeps no daily figures that far back: {said}",
            where=where,
            cure="start the source at most 14 months ago; what is older comes from an export (aws_data_exports)",
        )
    if code == "ValidationException":
        return ConfigError(
            f"AWS refuses the request: {said}", where=where, cure="check split_by and the days asked for"
        )
    if status == 401:
        return CredentialError(
            f"AWS refuses the credentials ({code})",
            where=where,
            cure="check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or the profile in use",
        )
    if status == 404 or 300 <= status < 400:
        return _not_cost_explorer(where)
    return None
