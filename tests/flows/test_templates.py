"""The work pool templates, rendered by the worker packages that would use them."""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from prefect.workers.base import BaseJobConfiguration
from ruamel.yaml import YAML

PROJECT = Path(__file__).parents[2]
POOLS = PROJECT / "flows/pools"
SECRET = "admin:not-to-be-seen"


def rendered(configuration: type[BaseJobConfiguration], template: str, **variables: object) -> Any:
    """The job that a worker makes of a template for one flow run."""
    flow_run = FlowRun(id=uuid4(), flow_id=uuid4(), name="distill_prediction@movies-S_3L")
    settings = {PREFECT_API_URL: "http://10.0.0.2:4200/api", PREFECT_API_AUTH_STRING: SECRET}
    with temporary_settings(settings):
        base = json.loads((POOLS / template).read_text())
        job = asyncio.run(configuration.from_template_and_values(base, dict(variables)))
        job.prepare_for_flow_run(flow_run)
    return job


def test_kubernetes_job_on_a_v100_node() -> None:
    worker = pytest.importorskip("prefect_kubernetes.worker")
    job = rendered(worker.KubernetesWorkerJobConfiguration, "kubernetes-v100.json", image="registry/confidistill:1")
    manifest = job.job_manifest
    assert (manifest["apiVersion"], manifest["kind"]) == ("batch/v1", "Job")
    assert manifest["metadata"]["namespace"] == "confidistill"
    assert manifest["metadata"]["generateName"].startswith("distill-prediction-movies-s-3l")
    pod = manifest["spec"]["template"]["spec"]
    (container,) = pod.pop("containers")
    environment = {entry["name"]: entry["value"] for entry in container.pop("env")}
    assert environment["PREFECT_API_URL"] == "http://10.0.0.2:4200/api"
    assert SECRET not in json.dumps(manifest) + json.dumps(environment)
    assert pod == {
        "automountServiceAccountToken": False,
        "completions": 1,
        "parallelism": 1,
        "restartPolicy": "Never",
        "serviceAccountName": "confidistill-stage",
        "nodeSelector": {"cloud.google.com/gke-accelerator": "nvidia-tesla-v100"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "fsGroup": 1000},
        "volumes": [{"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}}],
    }
    assert container == {
        "name": "prefect-job",
        "image": "registry/confidistill:1",
        "imagePullPolicy": "IfNotPresent",
        "args": ["prefect", "flow-run", "execute"],
        "envFrom": [{"secretRef": {"name": "confidistill"}}],
        "resources": {
            "requests": {"cpu": "6", "memory": "24Gi", "nvidia.com/gpu": 1},
            "limits": {"memory": "24Gi", "nvidia.com/gpu": 1},
        },
        "securityContext": {
            "privileged": False,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "shared-memory", "mountPath": "/dev/shm"}],
    }


@pytest.fixture
def service_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker's own identity: a key file of a service account that nobody has."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    account = {
        "type": "service_account",
        "project_id": "project",
        "client_email": "worker@project.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
        "private_key": pem.decode(),
    }
    path = tmp_path / "account.json"
    path.write_text(json.dumps(account))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))


@pytest.mark.usefixtures("service_account")
def test_vertex_job_on_v100() -> None:
    worker = pytest.importorskip("prefect_gcp.workers.vertex")
    job = rendered(
        worker.VertexAIWorkerJobConfiguration,
        "vertex-v100.json",
        region="europe-west4",
        image="europe-docker.pkg.dev/project/confidistill/stage:1",
        service_account_name="stage@project.iam.gserviceaccount.com",
        accelerator_count=2,
    )
    assert job.region == "europe-west4"
    assert job.job_spec["service_account_name"] == "stage@project.iam.gserviceaccount.com"
    assert job.job_spec["maximum_run_time_hours"] == 24
    (pool,) = job.job_spec["worker_pool_specs"]
    environment = {entry["name"]: entry["value"] for entry in pool["container_spec"].pop("env")}
    assert environment["PREFECT_API_URL"] == "http://10.0.0.2:4200/api"
    assert SECRET not in json.dumps(job.job_spec) + json.dumps(environment)
    assert pool == {
        "replica_count": 1,
        "container_spec": {
            "image_uri": "europe-docker.pkg.dev/project/confidistill/stage:1",
            "command": ["with-secrets", "prefect", "flow-run", "execute"],
            "args": [],
        },
        "machine_spec": {
            "machine_type": "n1-standard-8",
            "accelerator_type": "NVIDIA_TESLA_V100",
            "accelerator_count": 2,
        },
        "disk_spec": {"boot_disk_type": "pd-ssd", "boot_disk_size_gb": 100},
    }


@pytest.mark.parametrize("path", [*POOLS.glob("*.json"), PROJECT / "prefect.yaml", PROJECT / "docker/Dockerfile"])
def test_nothing_secret_or_privileged(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r'"privileged": true|hostPath|hostNetwork|--privileged', text)
    assert not re.search(r"(?i)(password|token|api_key|secret_access_key)\s*[:=]\s*[\"']?\w", text)
    assert "://" not in text or not re.search(r"://[^/\s]+:[^/\s]+@", text)


def test_deployments_name_the_flows_and_their_pools() -> None:
    from prefect.flows import load_flow_from_entrypoint

    deployments = {each["name"]: each for each in YAML(typ="safe").load(PROJECT / "prefect.yaml")["deployments"]}
    assert {name: each["work_pool"]["name"] for name, each in deployments.items()} == {
        "pipeline": "cpu",
        "stage": "gpu",
    }
    for name, each in deployments.items():
        assert load_flow_from_entrypoint(each["entrypoint"]).name == name


def test_with_secrets_runs_the_command() -> None:
    script = PROJECT / "docker/with-secrets"
    done = subprocess.run([sys.executable, script, "echo", "as it is"], capture_output=True, text=True, env=os.environ)
    assert (done.returncode, done.stdout) == (0, "as it is\n")
