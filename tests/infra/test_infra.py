"""What infra/ holds is well formed and keeps its promises; `make check-infra` runs the real tools over it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.cli import app
from flows.serving.deployments import DEPLOYMENTS
from flows.settings import load_settings
from warehouse.features import load_features

INFRA = Path(__file__).parents[2] / "infra"
MANIFESTS = sorted(path for path in (INFRA / "kubernetes").glob("*.yaml") if path.name != "kustomization.yaml")


def documents(path: Path) -> list[Any]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


@pytest.mark.parametrize("folder", ["docker", "kubernetes"])
def test_the_configuration_beside_the_manifests_is_one_that_loads(folder: str) -> None:
    settings = load_settings(INFRA / folder / "trendbreak.yml")
    assert settings.home == Path("/data")
    assert settings.metrics.port == 9464, "the image's health check asks this port"
    assert load_features(INFRA / folder / "features.yml").features


def test_no_image_is_unpinned() -> None:
    images = re.findall(r"^FROM (\S+)", (INFRA / "docker" / "Dockerfile").read_text(), re.MULTILINE)
    compose = yaml.safe_load((INFRA / "docker" / "compose.yaml").read_text())
    images += [service["image"] for service in compose["services"].values()]
    for pool in ("docker", "kubernetes"):
        template = json.loads((INFRA / "work_pools" / f"{pool}.json").read_text())
        images.append(template["variables"]["properties"]["image"]["default"])
    for path in (*MANIFESTS, INFRA / "kubernetes-ducklake" / "jobs.yaml"):
        images += re.findall(r"image: (\S+)", path.read_text())
    assert len(images) >= 8
    for image in images:
        assert re.search(r":\d+\.\d+", image), f"{image} names no version"


def test_the_image_runs_without_root_and_says_whether_it_is_well() -> None:
    text = (INFRA / "docker" / "Dockerfile").read_text()
    final = text[text.rindex("FROM ") :]
    assert re.search(r"^USER 10001:10001$", final, re.MULTILINE)
    assert "HEALTHCHECK" in final
    assert "/healthz" in final
    assert final.index("USER ") < final.index('CMD ["trendbreak"')
    ignored = (INFRA.parent / ".dockerignore").read_text().splitlines()
    assert ignored[0] == "*", "the context holds what is named and nothing else: no demo data, no .env"


def test_every_container_of_the_compose_file_is_hardened() -> None:
    compose = yaml.safe_load((INFRA / "docker" / "compose.yaml").read_text())
    assert set(compose["services"]) == {"postgres", "prefect", "app"}
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name} listens beyond this machine: it has no login"
    assert "POSTGRES_PASSWORD:?" in (INFRA / "docker" / "compose.yaml").read_text(), "no default password"


def test_the_pod_has_one_writer_a_disk_and_no_more_rights_than_it_needs() -> None:
    found = {document["kind"]: document for path in MANIFESTS for document in documents(path)}
    assert set(found) == {"Namespace", "ServiceAccount", "StatefulSet", "Service", "NetworkPolicy"}
    stateful = found["StatefulSet"]["spec"]
    pod = stateful["template"]["spec"]
    (container,) = pod["containers"]
    assert stateful["replicas"] == 1
    assert stateful["volumeClaimTemplates"][0]["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"]
    assert {probe for probe in container if probe.endswith("Probe")} == {
        "startupProbe", "livenessProbe", "readinessProbe",
    }  # fmt: skip
    kustomization = yaml.safe_load((INFRA / "kubernetes" / "kustomization.yaml").read_text())
    assert {path.name for path in MANIFESTS} == set(kustomization["resources"])
    assert all(
        (INFRA / "kubernetes" / name).exists() for one in kustomization["configMapGenerator"] for name in one["files"]
    )


def test_pods_without_a_disk_run_what_serve_would_and_lose_nothing() -> None:
    folder = INFRA / "kubernetes-ducklake"
    settings = load_settings(folder / "trendbreak.yml")
    assert settings.warehouse is not None
    assert settings.state is not None
    assert settings.lake.data_path is not None
    assert settings.lake.data_path.startswith("s3://")
    jobs = {job["metadata"]["name"]: job["spec"] for job in documents(folder / "jobs.yaml")}
    assert {name: None if job.get("suspend") else job["schedule"] for name, job in jobs.items()} == {
        f"trendbreak-{one.name}": one.timing(settings)[0] for one in DEPLOYMENTS if one.name != "backfill"
    }
    assert {job["timeZone"] for job in jobs.values()} == {"Etc/UTC"}
    assert settings.schedule.timezone == "UTC"
    assert jobs["trendbreak-hourly"]["jobTemplate"]["spec"]["activeDeadlineSeconds"] < 3600
    known = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    for name, job in jobs.items():
        pod = job["jobTemplate"]["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert job["concurrencyPolicy"] == "Forbid", name
        assert container["args"][0] == "trendbreak"
        assert container["args"][1] in known
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert {next(key for key in volume if key != "name") for volume in pod["volumes"]} == {"emptyDir", "configMap"}
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    gone = {patch["target"]["kind"] for patch in kustomization["patches"] if "$patch: delete" in patch["patch"]}
    assert gone == {"StatefulSet", "Service"}


@pytest.mark.parametrize("pool", ["docker", "kubernetes"])
def test_every_placeholder_of_a_work_pool_is_one_of_its_variables(pool: str) -> None:
    template = json.loads((INFRA / "work_pools" / f"{pool}.json").read_text())
    named = set(re.findall(r"\{\{ (\w+) \}\}", json.dumps(template["job_configuration"])))
    assert named
    assert named <= set(template["variables"]["properties"])


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_every_variable_of_a_terraform_module_is_described_and_its_provider_pinned(cloud: str) -> None:
    folder = INFRA / "terraform" / cloud
    text = "".join(path.read_text() for path in folder.glob("*.tf"))
    for name, body in re.findall(r'^variable "(\w+)" \{(.*?)^\}', text, re.MULTILINE | re.DOTALL):
        assert "description" in body, name
        assert f"var.{name}" in text.replace(body, ""), f"{name} is used nowhere"
    assert re.search(r'version = ">= [\d.]+, < [\d.]+"', text)
    assert "mock_provider" in (folder / "tests.tftest.hcl").read_text()


def test_the_reader_of_the_export_can_write_nothing() -> None:
    text = (INFRA / "terraform" / "aws" / "reader.tf").read_text()
    actions = set(re.findall(r'"((?:s3|kms|ce|sts):\w+)"', text)) - {"sts:ExternalId", "s3:prefix"}
    assert actions == {"sts:AssumeRole", "s3:ListBucket", "s3:GetObject", "kms:Decrypt", "ce:GetCostAndUsage"}
