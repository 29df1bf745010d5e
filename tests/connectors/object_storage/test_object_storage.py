"""Folders and buckets behave alike; what fails says why, and what can pass is tried again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from connectors.errors import (
    ConfigError,
    ConnectorError,
    CredentialError,
    IncompleteDelivery,
    PagingError,
    PermissionDenied,
    TransientError,
)
from connectors.http_api import RetryPolicy
from connectors.object_storage import Bucket, LocationOptions, Storage
from tests.servers.s3 import BucketSite, Fault, FaultyS3, FolderSite, Moto, allow, moto_server, use_test_credentials

QUICK = RetryPolicy(attempts=3, first_wait_seconds=0.001, longest_wait_seconds=0.01, read_timeout_seconds=5)
ONCE = RetryPolicy(attempts=1, first_wait_seconds=0.001, longest_wait_seconds=0.01, read_timeout_seconds=5)


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    with moto_server() as server:
        yield server


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    use_test_credentials(monkeypatch)


@pytest.fixture(params=["folder", "bucket"])
def site(request: pytest.FixtureRequest, tmp_path: Path, moto: Moto) -> FolderSite | BucketSite:
    return FolderSite(tmp_path / "site") if request.param == "folder" else BucketSite(moto)


@pytest.fixture
def faulty() -> Iterator[FaultyS3]:
    with FaultyS3().running() as server:
        yield server


def storage(options: dict[str, str], retry: RetryPolicy = QUICK) -> Storage:
    return LocationOptions.model_validate(options).open(retry)


def content(of: Storage, name: str) -> bytes:
    file = next(file for file in of.files() if file.name == name)
    return b"".join(of.chunks(file))


def test_lists_recursively_with_names_relative_to_the_location(site: FolderSite | BucketSite) -> None:
    for key in ("bills/a.csv", "bills/2026/b.csv", "bills/2026/01/c.csv", "bills-old/d.csv"):
        site.put(key, key.encode())
    opened = storage(site.options("bills"))
    assert sorted(file.name for file in opened.files()) == ["2026/01/c.csv", "2026/b.csv", "a.csv"]
    assert [file.name for file in opened.files("2026", recursive=False)] == ["2026/b.csv"]
    assert opened.folders() == ["2026"]
    assert opened.folders("2026") == ["2026/01"]
    assert opened.folders("nowhere") == []
    assert list(opened.files("nowhere")) == []
    assert content(opened, "2026/01/c.csv") == b"bills/2026/01/c.csv"


def test_a_location_may_be_one_file(site: FolderSite | BucketSite) -> None:
    site.put("bills/a.csv", b"one")
    site.put("bills/a.csv.bak", b"two")
    opened = storage(site.options("bills/a.csv"))
    assert [(file.name, file.size) for file in opened.files()] == [("a.csv", 3)]
    assert content(opened, "a.csv") == b"one"


def test_version_changes_with_the_bytes_and_only_then(site: FolderSite | BucketSite) -> None:
    site.put("bills/a.csv", b"one")
    opened = storage(site.options("bills"))
    first = next(iter(opened.files()))
    assert next(iter(opened.files())) == first
    site.put("bills/a.csv", b"two")
    assert next(iter(opened.files())).version != first.version


def test_a_file_replaced_after_listing_is_refused(site: FolderSite | BucketSite) -> None:
    site.put("bills/a.csv", b"one")
    opened = storage(site.options("bills"))
    listed = next(iter(opened.files()))
    site.put("bills/a.csv", b"two!")
    with pytest.raises(IncompleteDelivery, match="changed while it was being read"):
        b"".join(opened.chunks(listed))
    site.remove("bills/a.csv")
    with pytest.raises(IncompleteDelivery, match="gone"):
        b"".join(opened.chunks(listed))


def test_a_local_file_that_grows_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"x" * (3 << 20))
    opened = storage({"location": str(tmp_path)})
    chunks = opened.chunks(next(iter(opened.files())))
    next(chunks)
    with path.open("ab") as stream:
        stream.write(b"more")
    with pytest.raises(IncompleteDelivery, match=r"a\.csv"):
        list(chunks)


def test_broken_links_and_folder_markers_are_no_files(tmp_path: Path, moto: Moto) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / "nothing.csv")
    assert list(storage({"location": str(tmp_path)}).files()) == []
    bucket = BucketSite(moto)
    bucket.put("bills/", b"")
    bucket.put("bills/a.csv", b"one")
    assert [file.name for file in storage(bucket.options("bills/")).files()] == ["a.csv"]


def test_keys_may_begin_with_a_slash(moto: Moto) -> None:
    # A legacy report configured without a prefix is written below '/'.
    bucket = BucketSite(moto)
    bucket.put("/acme/20260101-20260201/a.csv", b"one")
    opened = storage({**bucket.options(), "location": f"s3://{bucket.bucket}//acme"})
    assert [file.name for file in opened.files()] == ["20260101-20260201/a.csv"]
    assert content(opened, "20260101-20260201/a.csv") == b"one"


def test_google_storage_is_read_through_its_s3_interface(faulty: FaultyS3) -> None:
    faulty.objects = {"bills/a.csv": b"one", "bills/deep/b.csv": b"two"}
    options = faulty.options("bills")
    opened = storage({**options, "location": options["location"].replace("s3://", "gs://")})
    assert sorted(file.name for file in opened.files()) == ["a.csv", "deep/b.csv"]
    assert content(opened, "deep/b.csv") == b"two"
    assert opened.address.startswith("gs://")
    assert all(file.address.startswith(opened.address) for file in opened.files())
    there = Bucket("acme", "bills", options=LocationOptions(location="gs://acme/bills"), retry=QUICK)
    assert there._connect().meta.endpoint_url == "https://storage.googleapis.com"


def test_more_than_a_page_of_objects_is_listed(faulty: FaultyS3) -> None:
    faulty.objects = {f"n/{number}": b"" for number in range(25)}
    faulty.page_size = 10
    assert len(list(storage(faulty.options("n")).files())) == 25
    assert sum(kind == "list" for kind, _, _ in faulty.requests) == 3


def test_what_is_missing_locally_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such folder or file — create it"):
        storage({"location": str(tmp_path / "nowhere")})


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"location": ""}, "is empty"),
        ({"location": "gs:///x"}, "names no bucket: write gs://"),
        ({"location": "az://container/x"}, "az:// is not read directly: mount the container"),
        ({"location": "abfss://c@account.dfs.core.windows.net/x"}, "mount the container"),
        ({"location": "ftp://host/x"}, "ftp:// is not read directly"),
        ({"location": "s3:///x"}, "names no bucket"),
        ({"location": "s3://b/x", "external_id": "abc"}, "without role_arn"),
        ({"location": "s3://b/x", "role_arn": "role"}, "pattern"),
        ({"location": "s3://b/x", "endpoint_url": "localhost:9000"}, "must be an http"),
        ({"location": "s3://b/x", "regoin": "us-east-1"}, "Extra inputs"),
    ],
)
def test_options_are_checked(options: dict[str, str], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        LocationOptions.model_validate(options)


def test_the_missing_permission_is_named(moto: Moto, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = BucketSite(moto)
    bucket.put("bills/a.csv", b"one")
    may_list, may_nothing = moto.user(allow("s3:ListBucket")), moto.user(allow("s3:PutObject"))
    with moto.policies_enforced():
        for variables, permission in ((may_list, "s3:GetObject"), (may_nothing, "s3:ListBucket")):
            for name, text in variables.items():
                monkeypatch.setenv(name, text)
            opened = storage(bucket.options("bills"))
            with pytest.raises(
                PermissionDenied, match=rf"{permission} is missing.*allow {permission} on arn:aws:s3:::"
            ):
                content(opened, "a.csv")


def test_unknown_keys_and_missing_buckets(moto: Moto) -> None:
    bucket = BucketSite(moto)
    with moto.policies_enforced(), pytest.raises(CredentialError, match="AWS refuses the credentials"):
        list(storage(bucket.options()).files())
    missing = {**bucket.options(), "location": "s3://no-such-bucket-at-all/x"}
    with pytest.raises(ConfigError, match=r"there is no bucket 'no-such-bucket-at-all'.*correct location"):
        list(storage(missing).files())


def test_no_credentials_at_all(moto: Moto, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = BucketSite(moto)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(CredentialError, match=r"no usable AWS credentials.*AWS_PROFILE"):
        list(storage(bucket.options()).files())


def test_a_role_is_assumed_with_its_external_id(faulty: FaultyS3) -> None:
    faulty.objects["bills/a.csv"] = b"one"
    role = "arn:aws:iam::111122223333:role/reader"
    opened = storage({**faulty.options("bills"), "role_arn": role, "external_id": "from-the-provider"})
    assert content(opened, "a.csv") == b"one"
    [asked] = faulty.role_requests
    assert (asked["RoleArn"], asked["ExternalId"]) == (role, "from-the-provider")
    assert set(faulty.signed_by) == {"ASIAROLEROLEROLE"}


def test_without_a_role_nothing_is_assumed(faulty: FaultyS3) -> None:
    list(storage(faulty.options("bills")).files())
    assert faulty.role_requests == []
    assert set(faulty.signed_by) == {"AKIATESTTESTTEST"}


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        (Fault("list", "ExpiredToken", 400), CredentialError, "have expired.*sign in again"),
        (Fault("list", "SignatureDoesNotMatch", 403), CredentialError, "SignatureDoesNotMatch.*AWS_SECRET_ACCESS_KEY"),
        (Fault("list", "RequestTimeTooSkewed", 403), CredentialError, "clock is wrong"),
        (Fault("list", "AccessDenied", 403), PermissionDenied, "allow s3:ListBucket on arn:aws:s3:::acme-billing$"),
        (Fault("get", "AccessDenied", 403), PermissionDenied, r"allow s3:GetObject on arn:aws:s3:::acme-billing/\*"),
        (
            Fault("get", "AccessDenied", 403, "not authorized to perform: kms:Decrypt on resource"),
            PermissionDenied,
            "kms:Decrypt is missing",
        ),
        (Fault("get", "InvalidObjectState", 403), ConfigError, "archived.*restore it"),
        (Fault("list", "InternalError", 500), TransientError, "busy or failing"),
        (Fault("get", "SlowDown", 503), TransientError, "busy or failing"),
        (Fault("list", "MethodNotAllowed", 405), ConfigError, "refuses the request"),
        (
            Fault("list", status=404, body=b"<html>no S3</html>"),
            ConfigError,
            "does not answer as S3 does.*check endpoint_url",
        ),
    ],
)
def test_each_refusal_says_what_to_do(faulty: FaultyS3, fault: Fault, kind: type[ConnectorError], says: str) -> None:
    faulty.objects["bills/a.csv"] = b"one"
    faulty.always = [fault]
    with pytest.raises(kind, match=says) as raised:
        content(storage(faulty.options("bills"), ONCE), "a.csv")
    assert "s3://acme-billing/bills" in str(raised.value)
    assert "never-in-an-error" not in str(raised.value)
    assert "AKIATEST" not in str(raised.value)


def test_a_refused_role_names_the_role_and_the_trust_policy(faulty: FaultyS3) -> None:
    faulty.always = [Fault("sts", "AccessDenied", 403)]
    role = {"role_arn": "arn:aws:iam::111122223333:role/reader"}
    with pytest.raises(PermissionDenied, match=r"sts:AssumeRole.*role/reader.*set external_id"):
        list(storage({**faulty.options(), **role}, ONCE).files())


def test_the_buckets_region_is_told(faulty: FaultyS3) -> None:
    region = (("x-amz-bucket-region", "eu-central-1"),)
    faulty.always = [Fault("list", "AuthorizationHeaderMalformed", 400, headers=region)]
    with pytest.raises(ConfigError, match=r"another region.*eu-central-1.*set region: eu-central-1"):
        list(storage(faulty.options(), ONCE).files())


def test_a_busy_server_is_asked_again(faulty: FaultyS3) -> None:
    faulty.objects["bills/a.csv"] = b"one"
    faulty.faults = [Fault("list", "SlowDown", 503)]
    assert content(storage(faulty.options("bills")), "a.csv") == b"one"


def test_a_body_that_breaks_off_is_resumed_where_it_stopped(faulty: FaultyS3) -> None:
    data = os.urandom(3 << 20)
    faulty.objects["bills/a.csv"] = data
    faulty.faults = [Fault("get", cut_after=1_500_000), Fault("get", cut_after=700_000)]
    assert content(storage(faulty.options("bills")), "a.csv") == data
    ranges = [asked for kind, _, asked in faulty.requests if kind == "get"]
    assert ranges[0] == ""
    assert len(ranges) == 3
    assert all(asked.startswith("bytes=") for asked in ranges[1:])


def test_a_body_that_always_breaks_off_ends(faulty: FaultyS3) -> None:
    faulty.objects["bills/a.csv"] = b"x" * 1000
    faulty.always = [Fault("get", cut_after=0)]
    with pytest.raises(TransientError, match=r"s3://acme-billing/bills/a.csv: the connection broke"):
        content(storage(faulty.options("bills")), "a.csv")
    assert sum(kind == "get" for kind, _, _ in faulty.requests) == QUICK.attempts


def test_an_object_that_changes_between_two_parts_is_refused(faulty: FaultyS3) -> None:
    faulty.objects["bills/a.csv"] = b"x" * (2 << 20)
    faulty.faults = [Fault("get", cut_after=1_200_000)]
    opened = storage(faulty.options("bills"))
    chunks = opened.chunks(next(iter(opened.files())))
    next(chunks)
    faulty.objects["bills/a.csv"] = b"y" * (2 << 20)
    with pytest.raises(IncompleteDelivery, match="changed"):
        list(chunks)


def test_a_listing_that_repeats_itself_ends(faulty: FaultyS3) -> None:
    faulty.objects["bills/a.csv"] = b"one"
    faulty.repeat_token = True
    with pytest.raises(PagingError, match="repeats"):
        list(storage(faulty.options("bills")).files())


def test_nobody_answers(faulty: FaultyS3) -> None:
    options = faulty.options("bills")
    options["endpoint_url"] = "http://127.0.0.1:9"  # the discard port: nothing listens
    with pytest.raises(TransientError, match=r"cannot connect to http://127.0.0.1:9.*check endpoint_url"):
        list(storage(options, ONCE).files())
