"""BigQuery as the connectors use it: metadata, dry runs and queries, with bounded retries and our errors.

Results are read page by page over REST. A credential never enters an error: what Google says is
repeated on one line, with tokens and the key file's path struck out.
"""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_UP, Decimal
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import pyarrow as pa
from pydantic import AfterValidator, Field, SecretStr

from connectors import base
from connectors.base import FetchPrice
from connectors.errors import (
    ConfigError,
    ConnectorError,
    CredentialError,
    IncompleteDelivery,
    PayloadError,
    PermissionDenied,
    TransientError,
)
from connectors.http_api import BaseUrl, RetryPolicy

if TYPE_CHECKING:
    from tenacity import RetryCallState

SCOPES = ("https://www.googleapis.com/auth/bigquery",)
GIGABYTE = 10**9
LONGEST_QUERY_SECONDS = 900
PAGE_ROWS = 50_000  # BigQuery cuts a page at 10 MB besides
AGAIN = "it is tried again at the next run"
SIGN_IN = "sign in again with `gcloud auth application-default login`, or make a new key for the service account"
# Reasons and codes as documented in "BigQuery error messages".
_PASSING_REASONS = frozenset({"rateLimitExceeded", "backendError", "internalError", "jobBackendError"})
_PASSING_CODES = frozenset({408, 425, 429, 500, 502, 503, 504})
_LOG = logging.getLogger(__name__)

USD_PER_TEBIBYTE = Decimal("6.25")  # cloud.google.com/bigquery/pricing, on demand, US multi-region

Parameter = date | datetime | tuple[str, ...]


def _checked_path(path: SecretStr) -> SecretStr:
    text = path.get_secret_value()
    if not text.strip() or not text.isprintable():
        raise ValueError("is empty or holds characters that no path has (line breaks)")
    return path


class BigQueryOptions(base.Options):
    """`project` runs (and pays) the queries; `dataset` may name another one: other-project.billing."""

    project: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.:-]+$", max_length=128)]
    dataset: Annotated[str, Field(pattern=r"^([a-z0-9][a-z0-9.:-]+\.)?[A-Za-z0-9_]+$")]
    location: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")] | None = None  # default: the table's own
    credentials_file: Annotated[SecretStr, AfterValidator(_checked_path)] | None = None
    api_endpoint: BaseUrl | None = None  # http://, or this machine: an emulator, asked without credentials
    maximum_gigabytes_billed: Annotated[Decimal, Field(gt=0)] = Decimal(100)  # of each query

    @property
    def dataset_path(self) -> str:
        """project.dataset"""
        return self.dataset if "." in self.dataset else f"{self.project}.{self.dataset}"

    @property
    def is_local(self) -> bool:
        """Whether an emulator answers, which is asked without credentials."""
        return self.api_endpoint is not None and is_local_endpoint(self.api_endpoint)


@dataclass(frozen=True)
class Query:
    """A query, its named parameters (a day, a point in time, or a list of texts), and where its table is."""

    sql: str
    parameters: Mapping[str, Parameter]
    location: str | None


class BigQuery:
    """Open connections to one project; made by `open_bigquery`."""

    def __init__(
        self, client: Any, credentials: Any, *, options: BigQueryOptions, source_name: str, retry: RetryPolicy
    ) -> None:
        self._client = client
        self._credentials = credentials
        self._options = options
        self._source_name = source_name
        self._policy = retry

    def table_names(self) -> dict[str, datetime | None]:
        """Every table and view of the dataset, with the time of its creation."""
        listed = self._ask(
            f"tables of {self._options.dataset_path}",
            lambda: list(self._client.list_tables(self._options.dataset_path, retry=self._insist)),
        )
        return {item.table_id: item.created for item in listed}

    def table(self, name: str) -> Any:
        """google.cloud.bigquery.Table: schema, partitioning, location."""
        path = f"{self._options.dataset_path}.{name}"
        return self._ask(f"table {path}", lambda: self._client.get_table(path, retry=self._insist))

    def estimate(self, query: Query, *, where: str) -> int:
        """Bytes that BigQuery would bill the query for, by a dry run, which is free."""
        job = self._ask(where, lambda: self._start(query, dry_run=True))
        return int(job.total_bytes_processed or 0)

    def rows(self, query: Query, *, where: str) -> list[dict[str, Any]]:
        """A small answer, whole."""
        return [row for batch in self.batches(query, where=where) for row in batch.to_pylist()]

    def batches(self, query: Query, *, where: str) -> Iterator[pa.RecordBatch]:
        """The answer page by page. Raises IncompleteDelivery where pages are missing from it."""
        limit = int(self._options.maximum_gigabytes_billed * GIGABYTE)
        job = self._ask(where, lambda: self._start(query, maximum_bytes_billed=limit))
        result = self._ask(where, lambda: job.result(page_size=PAGE_ROWS, retry=self._insist, job_retry=None))
        pages = iter(result.to_arrow_iterable())
        end = object()
        count = 0
        while (batch := self._ask(where, lambda: next(pages, end))) is not end:
            count += batch.num_rows
            yield batch
        _LOG.info("%s: %s rows, %s bytes billed", where, count, job.total_bytes_billed)
        if result.total_rows is not None and count != result.total_rows:
            raise IncompleteDelivery(
                f"{count} of {result.total_rows} rows of the answer came",
                where=f"{self._source_name}: {where}",
                cure=f"nothing of it was loaded; {AGAIN}",
            )

    def _start(self, query: Query, **settings: Any) -> Any:
        from google.cloud import bigquery

        config = bigquery.QueryJobConfig(
            query_parameters=[_parameter(name, given) for name, given in query.parameters.items()],
            use_query_cache=False,  # a partition that was written to a moment ago must not look as before
            job_timeout_ms=LONGEST_QUERY_SECONDS * 1000,
            labels={"app": "trendbreak"},
            **settings,
        )
        return self._client.query(
            query.sql, job_config=config, location=query.location, retry=self._insist, job_retry=None
        )

    def _ask(self, what: str, call: Callable[[], Any]) -> Any:
        """The call's answer; its errors as ours, naming source and `what`."""
        where = f"{self._source_name}: {what}"
        try:
            return call()
        except ConnectorError:
            raise
        except Exception as error:
            # No `from`: the library's error holds the request, and the request holds the token.
            raise explain(error, where=where, options=self._options, credentials=self._credentials) from None

    def _insist(self, call: Callable[[], Any]) -> Callable[[], Any]:
        """The call, tried again a bounded number of times; the library takes this for its own Retry."""
        from tenacity import Retrying, retry_if_exception, stop_after_attempt

        policy = self._policy

        def wait(state: RetryCallState) -> float:
            longest = min(policy.longest_wait_seconds, policy.first_wait_seconds * 2.0 ** (state.attempt_number - 1))
            return longest * random.uniform(0.5, 1.0)

        retrying = Retrying(
            stop=stop_after_attempt(policy.attempts), wait=wait, retry=retry_if_exception(can_pass), reraise=True
        )
        return lambda: retrying(call)


@contextmanager
def open_bigquery(options: BigQueryOptions, *, source_name: str, retry: RetryPolicy) -> Iterator[BigQuery]:
    """Connections that are closed at the end of the block. Raises CredentialError."""
    from google.api_core.client_options import ClientOptions
    from google.cloud import bigquery

    endpoint = ClientOptions(api_endpoint=options.api_endpoint) if options.api_endpoint else None
    try:
        credentials = _credentials(options)
        client = bigquery.Client(
            project=options.project,
            credentials=credentials,
            client_options=endpoint,
            _http=_session(credentials, retry, is_local=options.is_local),
        )
    except Exception as error:
        raise explain(error, where=source_name, options=options, credentials=None) from None
    try:
        yield BigQuery(client, credentials, options=options, source_name=source_name, retry=retry)
    finally:
        client.close()  # type: ignore[no-untyped-call]


def _credentials(options: BigQueryOptions) -> Any:
    import warnings

    import google.auth
    from google.auth.credentials import AnonymousCredentials

    if options.is_local:
        return AnonymousCredentials()  # type: ignore[no-untyped-call]
    if options.credentials_file is None:
        return google.auth.default(scopes=SCOPES)[0]
    with warnings.catch_warnings():
        # It warns of files from strangers; this one is named in the person's own configuration.
        warnings.simplefilter("ignore", DeprecationWarning)
        load: Any = google.auth.load_credentials_from_file
        return load(options.credentials_file.get_secret_value(), scopes=SCOPES)[0]


def _session(credentials: Any, policy: RetryPolicy, *, is_local: bool) -> Any:
    """HTTP with a time limit on every request: the library sets none, and would wait for ever."""
    from google.auth.transport.requests import AuthorizedSession

    session: Any = AuthorizedSession(credentials)  # type: ignore[no-untyped-call]
    limits = (policy.connect_timeout_seconds, policy.read_timeout_seconds)
    ask = session.request
    session.request = lambda *args, **settings: ask(*args, **{**settings, "timeout": limits})
    session.trust_env = not is_local  # no proxy stands between this machine and itself
    return session


def _parameter(name: str, given: Parameter) -> Any:
    from google.cloud import bigquery

    if isinstance(given, tuple):
        return bigquery.ArrayQueryParameter(name, "STRING", list(given))
    if isinstance(given, datetime):
        return bigquery.ScalarQueryParameter(name, "DATETIME" if given.tzinfo is None else "TIMESTAMP", given)
    return bigquery.ScalarQueryParameter(name, "DATE", given)


def can_pass(error: BaseException) -> bool:
    """Whether another try may help."""
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth.exceptions import TransportError

    if isinstance(error, GoogleAPICallError):
        return _reason(error) in _PASSING_REASONS or error.code in _PASSING_CODES
    return isinstance(error, TransportError | OSError)  # OSError: what requests raises is one


def explain(error: Exception, *, where: str, options: BigQueryOptions, credentials: Any) -> ConnectorError:
    """What the library raised, as the error that says what to do."""
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth import exceptions as auth

    if isinstance(error, ConnectorError):
        return error
    if isinstance(error, GoogleAPICallError):
        return _explain_answer(error, where=where, options=options, credentials=credentials)
    kind = type(error).__name__
    if isinstance(error, auth.DefaultCredentialsError):
        return CredentialError(
            "no usable Google credentials"
            + (": credentials_file cannot be read as a key" if options.credentials_file else ""),
            where=where,
            cure="set credentials_file to a key or workload identity file, or GOOGLE_APPLICATION_CREDENTIALS, or run "
            "`gcloud auth application-default login`, or run where a service account is attached",
        )
    if isinstance(error, auth.TransportError):
        return TransientError(f"cannot reach Google's sign-in ({kind})", where=where, cure=AGAIN)
    if isinstance(error, auth.GoogleAuthError):
        return CredentialError(
            f"the Google credentials are refused or have expired ({kind})",
            where=where,
            cure=SIGN_IN,
        )
    if isinstance(error, OSError) and not isinstance(error, ValueError):  # an answer that is no JSON is both
        if options.credentials_file and isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
            return CredentialError("credentials_file cannot be read", where=where, cure="correct credentials_file")
        to = options.api_endpoint or "BigQuery"
        return TransientError(
            f"no connection to {to}, or it broke ({kind})",
            where=where,
            cure=f"{AGAIN}; if it stays, check the network" + (" and api_endpoint" if options.api_endpoint else ""),
        )
    return PayloadError(
        f"the server does not answer as BigQuery does ({kind})",
        where=where,
        cure="check api_endpoint; run again, and report it if it stays",
    )


def _explain_answer(error: Any, *, where: str, options: BigQueryOptions, credentials: Any) -> ConnectorError:
    reason, code = _reason(error), int(error.code or 0)
    said = _said(error, options, credentials)
    what = f"{said} ({reason})" if reason and reason not in said else said
    if can_pass(error):
        return TransientError(f"BigQuery is busy or failing: {code} {what}", where=where, cure=AGAIN)
    if reason == "bytesBilledLimitExceeded":
        return over_limit(what, where=where, options=options)
    if reason == "quotaExceeded":
        return ConfigError(
            f"a quota is used up: {what}", where=where, cure="raise it in the project, or wait until it renews"
        )
    if reason == "accessNotConfigured" or "has not been used in project" in said:
        return ConfigError(
            f"the BigQuery API is not enabled: {what}",
            where=where,
            cure=f"gcloud services enable bigquery.googleapis.com --project {options.project}",
        )
    if code == 401:
        return CredentialError(
            f"BigQuery refuses the credentials: {what}",
            where=where,
            cure=SIGN_IN,
        )
    if code == 403:
        return _denied(what, where=where, options=options, credentials=credentials)
    if code == 404:
        return ConfigError(
            what, where=where, cure="check project, dataset, table and location; the export must be enabled"
        )
    if reason == "invalidQuery":
        return PayloadError(
            f"BigQuery cannot run the query: {what}",
            where=where,
            cure="the table is not as Google documents it, or changed meanwhile: run again, and report it if it stays",
        )
    return ConfigError(
        f"BigQuery refuses the request: {code} {what}", where=where, cure="check project, dataset, table and location"
    )


def over_limit(what: str, *, where: str, options: BigQueryOptions) -> ConfigError:
    """The error of a query that would cost more than it may."""
    return ConfigError(
        f"the query would be billed for more than maximum_gigabytes_billed, {options.maximum_gigabytes_billed}: {what}",
        where=where,
        cure="nothing was billed; raise maximum_gigabytes_billed, or point table at one that is partitioned by day",
    )


# Permission → the role that carries it, and on what it is granted.
_ROLES = {
    "bigquery.jobs.create": "roles/bigquery.jobUser on the project {project}",
    "bigquery.tables.getData": "roles/bigquery.dataViewer on the dataset {dataset}",
    "bigquery.tables.get": "roles/bigquery.dataViewer on the dataset {dataset}",
    "bigquery.tables.list": "roles/bigquery.dataViewer on the dataset {dataset}",
    "bigquery.datasets.get": "roles/bigquery.dataViewer on the dataset {dataset}",
    "serviceusage.services.use": "roles/serviceusage.serviceUsageConsumer on the project {project}",
}


def _denied(what: str, *, where: str, options: BigQueryOptions, credentials: Any) -> ConnectorError:
    if re.search(r"VPC Service Controls|organization's policy", what):
        return PermissionDenied(what, where=where, cure="run inside the service perimeter, or add an ingress rule")
    named = re.search(r"bigquery\.\w+\.\w+|serviceusage\.\w+\.\w+", what)
    # "User does not have permission to query table …" names none.
    permission = named.group() if named else "bigquery.tables.getData"
    role = _ROLES.get(permission, "a role that carries it, such as roles/bigquery.dataViewer on the dataset {dataset}")
    who = getattr(credentials, "service_account_email", None)
    return PermissionDenied(
        f"{permission} is missing: {what}",
        where=where,
        cure=f"grant {role.format(project=options.project, dataset=options.dataset_path)}"
        + (f" to {who}" if who and "@" in str(who) else ""),
    )


def _reason(error: Any) -> str:
    first = next(iter(getattr(error, "errors", None) or ()), None)
    return str(first.get("reason") or "") if isinstance(first, dict) else ""


def _said(error: Any, options: BigQueryOptions, credentials: Any) -> str:
    """Google's own words, on one line, at most 300 characters, without secrets."""
    first = next(iter(error.errors or ()), None)
    text = str(first.get("message") or "") if isinstance(first, dict) else ""
    text = text or str(error.message or "")
    path = options.credentials_file
    for secret in (getattr(credentials, "token", None), path.get_secret_value() if path else None):
        if secret:
            text = text.replace(str(secret), "***")
    return " ".join(text.split())[:300] or f"HTTP {error.code}"


def gigabytes(count: int) -> Decimal:
    """Bytes as decimal gigabytes, to three places."""
    return (Decimal(count) / GIGABYTE).quantize(Decimal("0.001"))


def query_price(estimate: int) -> FetchPrice:
    """What a query costs that is billed for these bytes, at the list price of on-demand queries."""
    usd = (estimate * USD_PER_TEBIBYTE / 2**40).quantize(Decimal("0.000001"), ROUND_UP)
    return FetchPrice(usd, f"{gigabytes(estimate)} GB at ${USD_PER_TEBIBYTE} per TiB, on demand in the US")


def is_local_endpoint(endpoint: str) -> bool:
    """Whether the endpoint is an emulator: on this machine, or without TLS, where no token may travel."""
    parts = urlsplit(endpoint)
    return parts.scheme == "http" or parts.hostname in ("localhost", "127.0.0.1", "::1")


def check_limit(estimate: int, *, where: str, options: BigQueryOptions) -> None:
    """Raise ConfigError when the estimate is above what may be billed."""
    if estimate > options.maximum_gigabytes_billed * GIGABYTE:
        raise over_limit(f"the dry run says {gigabytes(estimate)} GB", where=where, options=options)
