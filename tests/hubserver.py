"""A local server that speaks as much of the Hugging Face Hub's API as its client uses for models.

Small files travel inside the commit ("regular"), large ones by LFS: uploaded by their sha256, and
downloaded by a redirect whose ``X-Linked-*`` headers tell what is behind it. Private repositories
are hidden from callers without the token.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
from collections import Counter
from typing import Any

from aiohttp import web

TOKEN = "hf_test"
_LARGE_BYTES = 100_000


class Hub:
    """Repositories in memory: commits (path -> bytes), tags, and large files by their sha256."""

    def __init__(self) -> None:
        self.commits: dict[str, list[dict[str, bytes]]] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.large: dict[str, bytes] = {}
        self.private: dict[str, bool] = {}
        #: Answers every call, when set; ``is_silent``: no call is answered at all.
        self.status: int | None = None
        self.is_silent = False
        #: Paths that end so are answered, and the answer never ends.
        self.endless: str | None = None
        #: What the storage answers instead of large files, and what signs its addresses.
        self.storage_status: int | None = None
        self.signature = "5e1f0a77"
        #: How often each file was sent, and after how many bytes the next sending of one breaks
        #: off.
        self.sent: Counter[str] = Counter()
        self.breaks: dict[str, int] = {}

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._fail], client_max_size=1 << 30)
        repo = "{owner}/{name}"
        app.add_routes(
            [
                web.post("/api/repos/create", self.create),
                web.post(f"/api/models/{repo}/preupload/{{rev}}", self.preupload),
                web.post(f"/api/models/{repo}/commit/{{rev}}", self.commit),
                web.post(f"/{repo}.git/info/lfs/objects/batch", self.lfs_batch),
                web.put("/lfs/{oid}", self.lfs_put),
                web.get("/lfs/{oid}", self.lfs_get),
                web.post(f"/api/models/{repo}/tag/{{rev}}", self.tag),
                web.get(f"/api/models/{repo}/refs", self.refs),
                web.get(f"/api/models/{repo}", self.info),
                web.get(f"/api/models/{repo}/revision/{{rev}}", self.info),
                web.get(f"/api/models/{repo}/tree/{{rev}}", self.tree),
                web.get(f"/{repo}/resolve/{{rev}}/{{path:.+}}", self.resolve),
                web.post("/api/validate-yaml", self.valid),
            ]
        )
        return app

    @web.middleware
    async def _fail(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if self.is_silent:
            await asyncio.sleep(3600)
        if self.status is not None:
            return web.json_response({"error": "told to"}, status=self.status)
        if self.endless and request.method == "GET" and request.path.endswith(self.endless):
            return await self._go_on(request)
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _go_on(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        await answer.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await answer.write(b"[" * 65_536)
        return answer

    def is_known(self, request: web.Request) -> bool:
        """Whether the caller has the token."""
        return request.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _repo(self, request: web.Request) -> str:
        name = f"{request.match_info['owner']}/{request.match_info['name']}"
        if name not in self.commits or (self.private.get(name) and not self.is_known(request)):
            kind = web.HTTPNotFound if self.is_known(request) else web.HTTPUnauthorized
            raise kind(headers={"X-Error-Code": "RepoNotFound"})
        if request.method in ("POST", "PUT") and not self.is_known(request):
            raise web.HTTPForbidden
        return name

    def _files(self, request: web.Request) -> tuple[str, dict[str, bytes]]:
        repo = self._repo(request)
        rev = request.match_info.get("rev", "main")
        oid = self.tags[repo].get(rev, rev)
        commits = self.commits[repo]
        at = (
            len(commits) - 1
            if oid == "main"
            else next(i for i, c in enumerate(commits) if commit_id(repo, i) == oid)
        )
        return commit_id(repo, at), commits[at]

    async def valid(self, _: web.Request) -> web.Response:
        return web.json_response({})

    async def create(self, request: web.Request) -> web.Response:
        body = await request.json()
        if not self.is_known(request):
            raise web.HTTPForbidden
        name = f"{body.get('organization') or 'acme'}/{body['name']}"
        if name in self.commits:
            return web.json_response(
                {"error": "exists", "url": f"http://{request.host}/{name}"}, status=409
            )
        self.commits[name], self.tags[name] = [{".gitattributes": b"*.onnx filter=lfs"}], {}
        self.private[name] = bool(body.get("private")) or body.get("visibility") == "private"
        return web.json_response({"url": f"http://{request.host}/{name}"})

    async def preupload(self, request: web.Request) -> web.Response:
        files = (await request.json())["files"]
        return web.json_response(
            {
                "files": [
                    {
                        "path": f["path"],
                        "uploadMode": "lfs" if f["size"] > _LARGE_BYTES else "regular",
                        "shouldIgnore": False,
                    }
                    for f in files
                ]
            }
        )

    async def lfs_batch(self, request: web.Request) -> web.Response:
        objects = (await request.json())["objects"]
        return web.json_response(
            {
                "transfer": "basic",
                "objects": [
                    {
                        **one,
                        "actions": {"upload": {"href": f"http://{request.host}/lfs/{one['oid']}"}},
                    }
                    for one in objects
                ],
            }
        )

    async def lfs_put(self, request: web.Request) -> web.Response:
        content = await request.read()
        assert hashlib.sha256(content).hexdigest() == request.match_info["oid"]
        self.large[request.match_info["oid"]] = content
        return web.Response()

    async def commit(self, request: web.Request) -> web.Response:
        repo = self._repo(request)
        files = dict(self.commits[repo][-1])
        for line in (await request.text()).splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                files[value["path"]] = self.large[value["oid"]]
            elif item["key"] == "deletedFile":
                files.pop(value["path"], None)
        self.commits[repo].append(files)
        oid = commit_id(repo, len(self.commits[repo]) - 1)
        return web.json_response(
            {
                "commitUrl": f"http://{request.host}/{repo}/commit/{oid}",
                "commitOid": oid,
                "hookOutput": "",
            }
        )

    async def tag(self, request: web.Request) -> web.Response:
        repo = self._repo(request)
        name = (await request.json())["tag"]
        if name in self.tags[repo]:
            return web.json_response({"error": "exists"}, status=409)
        self.tags[repo][name] = request.match_info["rev"]
        return web.json_response({})

    async def refs(self, request: web.Request) -> web.Response:
        repo = self._repo(request)
        tags = [
            {"name": n, "ref": f"refs/tags/{n}", "targetCommit": oid}
            for n, oid in self.tags[repo].items()
        ]
        return web.json_response({"branches": [], "converts": [], "tags": tags})

    async def info(self, request: web.Request) -> web.Response:
        oid, files = self._files(request)
        return web.json_response(
            {"id": self._repo(request), "sha": oid, "private": False, "tags": [], "downloads": 0, "likes": 0,
             "siblings": [{"rfilename": path} for path in files]}
        )  # fmt: skip

    async def tree(self, request: web.Request) -> web.Response:
        _, files = self._files(request)
        return web.json_response(
            [{"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
             for path, data in files.items()]
        )  # fmt: skip

    async def resolve(self, request: web.Request) -> web.StreamResponse:
        oid, files = self._files(request)
        data = files.get(request.match_info["path"])
        if data is None:
            raise web.HTTPNotFound(headers={"X-Error-Code": "EntryNotFound"})
        if len(data) > _LARGE_BYTES:
            digest = hashlib.sha256(data).hexdigest()
            self.large[digest] = data
            linked = {
                "X-Linked-Etag": f'"{digest}"',
                "X-Linked-Size": str(len(data)),
                "X-Repo-Commit": oid,
            }
            # Storage is another host, where the client does not show its token.
            storage = f"http://localhost:{request.url.port}/lfs/{digest}"
            query = f"path={request.match_info['path']}&X-Amz-Signature={self.signature}"
            raise web.HTTPFound(f"{storage}?{query}", headers=linked)
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        return await self._send(
            request, request.match_info["path"], data, {"ETag": f'"{blob}"', "X-Repo-Commit": oid}
        )

    async def lfs_get(self, request: web.Request) -> web.StreamResponse:
        oid = request.match_info["oid"]
        assert not self.is_known(request)
        if self.storage_status is not None:
            return web.Response(status=self.storage_status)
        return await self._send(
            request, request.query["path"], self.large[oid], {"ETag": f'"{oid}"'}
        )

    async def _send(
        self, request: web.Request, path: str, data: bytes, headers: dict[str, str]
    ) -> web.StreamResponse:
        """All of ``data`` or the range that is asked for; broken off when the test wants it."""
        begin = request.http_range.start or 0
        answer = web.StreamResponse(status=206 if begin else 200, headers=headers)
        answer.content_length = len(data) - begin
        if begin:
            answer.headers["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
        await answer.prepare(request)
        if request.method == "HEAD":
            return answer
        self.sent[path] += len(data) - begin
        until = self.breaks.pop(path, None)
        await answer.write(data[begin : len(data) if until is None else until])
        if until is not None and request.transport is not None:
            request.transport.close()
        return answer


def commit_id(repo: str, number: int) -> str:
    return hashlib.sha1(f"{repo} {number}".encode()).hexdigest()
