"""A real API server with a real etcd behind it, and Helm against it.

Nothing else runs: no controller makes pods of a DaemonSet, no kubelet starts one. What admission
says of them is asked by creating the pods themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import trustme
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.peers.process import Process, answers
from tests.support.ports import free_port

TOKEN = "token-of-the-administrator"
Object = dict[str, Any]


class Cluster:
    """The API server's address, what Helm needs to reach it, and plain calls."""

    def __init__(self, address: str, folder: Path, helm: Path) -> None:
        self.address = address
        self.folder = folder
        self._helm = helm
        self._trust = ssl.create_default_context(cafile=str(folder / "ca.pem"))

    async def call(self, method: str, path: str, body: object = None) -> tuple[int, Object]:
        """The status and the object of an answer."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with (
            aiohttp.ClientSession(headers=headers) as client,
            client.request(method, self.address + path, json=body, ssl=self._trust) as reply,
        ):
            return reply.status, await reply.json(content_type=None)

    async def helm(self, *arguments: str) -> tuple[int, str]:
        """The exit code of Helm and what it printed."""
        environment = {
            **os.environ,
            "KUBECONFIG": str(self.folder / "kubeconfig"),
            "HELM_CACHE_HOME": str(self.folder / "helm-cache"),
            "HELM_CONFIG_HOME": str(self.folder / "helm-config"),
            "HELM_DATA_HOME": str(self.folder / "helm-data"),
            "KUBECACHEDIR": str(self.folder / "kube-cache"),
        }
        process = await asyncio.create_subprocess_exec(
            str(self._helm),
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=environment,
        )
        said, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, said.decode()


@contextlib.asynccontextmanager
async def running_cluster(
    apiserver: Path, etcd: Path, helm: Path, folder: Path
) -> AsyncIterator[Cluster]:
    """etcd and the API server, ready to take objects."""
    store, peer, port = free_port(), free_port(), free_port()
    _write_keys(folder, port)
    etcd_command = [
        str(etcd),
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls=http://127.0.0.1:{store}",
        f"--advertise-client-urls=http://127.0.0.1:{store}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}",
        "--unsafe-no-fsync",
    ]
    command = [
        str(apiserver),
        f"--etcd-servers=http://127.0.0.1:{store}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--tls-cert-file={folder / 'server.pem'}",
        f"--tls-private-key-file={folder / 'server.key'}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        f"--service-account-key-file={folder / 'accounts.key'}",
        f"--service-account-signing-key-file={folder / 'accounts.key'}",
        "--service-account-issuer=https://peer",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--authorization-mode=RBAC",
        # Nobody runs here who would make a namespace's default account.
        "--disable-admission-plugins=ServiceAccount",
    ]
    cluster = Cluster(f"https://127.0.0.1:{port}", folder, helm)

    async def is_ready() -> bool:
        try:
            headers = {"Authorization": f"Bearer {TOKEN}"}
            trust = ssl.create_default_context(cafile=str(folder / "ca.pem"))
            async with (
                aiohttp.ClientSession(headers=headers) as client,
                client.get(f"{cluster.address}/readyz", ssl=trust) as reply,
            ):
                return reply.status == 200
        except aiohttp.ClientError:
            return False

    health = f"http://127.0.0.1:{store}/health"
    async with (
        Process(etcd_command, folder, lambda: answers(health)),
        Process(command, folder, is_ready),
    ):
        yield cluster


def _write_keys(folder: Path, port: int) -> None:
    authority = trustme.CA()
    server = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    server.private_key_pem.write_to_path(str(folder / "server.key"))
    for i, part in enumerate(server.cert_chain_pems):
        part.write_to_path(str(folder / "server.pem"), append=i > 0)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (folder / "accounts.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    (folder / "tokens.csv").write_text(f"{TOKEN},admin,1,system:masters\n")
    context = {"cluster": "peer", "user": "admin", "namespace": "logging"}
    (folder / "kubeconfig").write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "peer",
                "contexts": [{"name": "peer", "context": context}],
                "users": [{"name": "admin", "user": {"token": TOKEN}}],
                "clusters": [
                    {
                        "name": "peer",
                        "cluster": {
                            "server": f"https://127.0.0.1:{port}",
                            "certificate-authority": str(folder / "ca.pem"),
                        },
                    }
                ],
            }
        )
    )


def written(folder: Path, values: Object) -> Path:
    """``values`` as a file for Helm."""
    path = folder / "values.json"
    path.write_text(json.dumps(values))
    return path
