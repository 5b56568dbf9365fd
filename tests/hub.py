"""A hub on loopback that speaks as much of Hugging Face's HTTP as its client needs, and fails.

Small files are answered after a redirect within the hub, large ones by a storage host of their
own, another port, to which the hub redirects with a signed address; as the real one does it. What
is asked is kept, and what goes wrong, when and how often, is planned with `Hub.fail`.

As a proxy, the hub answers for any host: with `HF_ENDPOINT=http://hub.test` and `http_proxy` set
to its URL, names are never looked up.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

LARGE: Final = (".bin", ".safetensors", ".npz", ".h5", ".msgpack")
"""Suffixes of the files that the storage host serves."""
_SLICE: Final = 16 * 1024
_SIGNATURE: Final = "X-Signature=c2lnbmF0dXJl"


def git_digest(data: bytes) -> str:
    """What identifies a small file: git's SHA-1 of a blob."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class File:
    """A file of a repository."""

    def __init__(self, name: str, data: bytes) -> None:
        self.data = data
        self.claimed_size = len(data)
        """What the hub says of its size."""
        self.sha256 = hashlib.sha256(data).hexdigest()
        self.large = name.endswith(LARGE)
        self.digest = self.sha256 if self.large else git_digest(data)
        self.sibling: dict[str, Any] = {"rfilename": name}

    def described(self) -> dict[str, Any]:
        """The file among the siblings of a repository."""
        about = {**self.sibling, "size": self.claimed_size, "blobId": git_digest(self.data)}
        if self.large:
            about["lfs"] = {"sha256": self.sha256, "size": self.claimed_size, "pointerSize": 134}
        return about


@dataclass
class Repository:
    """A repository: its commits, and the names that point at them."""

    commits: dict[str, dict[str, File]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    licence: str | None = None
    gated: bool = False
    private: bool = False
    xet: bool = True
    """Large files are offered by the hub's other protocol, too."""
    readers: tuple[str, ...] = ()
    """Accounts that are let in where it is gated or private."""


@dataclass
class Request:
    """What was asked, and what was sent in answer."""

    host: str
    """HOST:PORT as the client named it."""
    method: str
    path: str
    """Without the query."""
    range: str | None
    authorization: str
    proxied: bool
    status: int = 0
    sent: int = 0
    """Bytes of a file's content."""


@dataclass(eq=False)
class Fault:
    """What goes wrong with requests for matching paths. Offsets are of the whole file."""

    path: str
    """A pattern, as of `fnmatch`."""
    times: float
    method: str
    status: int = 0
    """Answer with it and nothing else."""
    headers: Mapping[str, str] = field(default_factory=dict)
    mute: bool = False
    """Answer nothing until `release` is set."""
    cut_at: int | None = None
    """Close the connection there."""
    stall_at: int | None = None
    """Send nothing more there, until `release` is set."""
    short_by: int = 0
    """Leave out so many bytes at the end, as if the file were shorter."""
    corrupt: bool = False
    """Send other bytes."""
    rate: int = 0
    """Send so many bytes a second."""
    reached: threading.Event = field(default_factory=threading.Event)
    """Set when the request has come, or all before `cut_at` or `stall_at` is on its way."""
    release: threading.Event = field(default_factory=threading.Event)

    @property
    def of_content(self) -> bool:
        """Whether it is about the bytes of a file, not about the whole answer."""
        return not (self.status or self.mute)


class Hub:
    """A hub. A repository that nobody added is gated when its name says so, else unknown."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.repositories: dict[str, Repository] = {}
        self.accounts: dict[str, str] = {}
        """Names by token. While there are none, every token is taken."""
        self.files: dict[str, bytes] = {}
        """Plain files, by path."""
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._servers = [_Server(self), _Server(self)]

    @property
    def url(self) -> str:
        """For HF_ENDPOINT, or as that of a proxy."""
        return f"http://{self._servers[0].place}"

    @property
    def storage(self) -> str:
        """HOST:PORT of large files."""
        return self._servers[1].place

    @property
    def tokens(self) -> list[str]:
        """What clients sent as their authorization, with each request."""
        return [request.authorization for request in self.requests]

    def add(
        self,
        name: str,
        files: Mapping[str, bytes] | Path,
        *,
        branch: str = "main",
        **about: Any,
    ) -> str:
        """Add a commit to a repository, all of its files anew; return the commit.

        `about` sets attributes of the `Repository`.
        """
        if isinstance(files, Path):
            paths = [path for path in sorted(files.rglob("*")) if path.is_file()]
            files = {path.relative_to(files).as_posix(): path.read_bytes() for path in paths}
        repository = self.repositories.setdefault(name, Repository())
        for attribute, value in about.items():
            setattr(repository, attribute, value)
        contents = {each: File(each, data) for each, data in files.items()}
        text = f"{name} {len(repository.commits)} {[file.digest for file in contents.values()]}"
        commit = hashlib.sha1(text.encode()).hexdigest()
        repository.commits[commit] = contents
        repository.refs[branch] = commit
        return commit

    def fail(self, path: str, *, times: float = 1, method: str = "GET", **how: Any) -> Fault:
        """Have the next requests for a path fail; `how` sets attributes of the `Fault`."""
        fault = Fault(path, times, method, **how)
        with self._lock:
            self._faults.append(fault)
        return fault

    def heal(self) -> None:
        """Forget all faults, and let go what is stalled."""
        with self._lock:
            faults, self._faults = self._faults, []
        for fault in faults:
            fault.release.set()

    def travelled(self, path: str = "*") -> int:
        """Bytes of files that were sent, to requests for matching paths."""
        return sum(each.sent for each in self.requests if fnmatchcase(each.path, path))

    def asked(self, path: str = "*") -> list[Request]:
        """Requests for matching paths."""
        return [each for each in self.requests if fnmatchcase(each.path, path)]

    def take_fault(self, request: Request, *, of_content: bool) -> Fault | None:
        """The fault that this request meets."""
        with self._lock:
            for fault in self._faults:
                matches = fault.method == request.method and fnmatchcase(request.path, fault.path)
                if matches and fault.of_content == of_content and fault.times > 0:
                    fault.times -= 1
                    return fault
        return None

    def start(self) -> None:
        """Begin to serve."""
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """End; what is being sent is cut off."""
        self.heal()
        for server in self._servers:
            server.shutdown()
            server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, hub: Hub) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub = hub
        # So that little is on its way which the client has not read.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SLICE)

    @property
    def place(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        """Nothing on stderr: clients are killed, and cut off."""


class _RefusalError(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers


def _refused(status: int, message: str, code: str | None = None) -> _RefusalError:
    headers = {"X-Error-Message": message}
    return _RefusalError(status, headers | ({"X-Error-Code": code} if code else {}))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _answer(self) -> None:
        hub = self.server.hub
        target = urlsplit(self.path)
        self._query = target.query
        self._request = Request(
            host=target.netloc or self.headers.get("Host", ""),
            method=self.command,
            path=target.path,
            range=self.headers.get("Range"),
            authorization=self.headers.get("Authorization", ""),
            proxied=bool(target.netloc),
        )
        hub.requests.append(self._request)
        fault = hub.take_fault(self._request, of_content=False)
        try:
            if fault and fault.mute:
                fault.reached.set()
                fault.release.wait()
            if fault and fault.status:
                raise _RefusalError(fault.status, fault.headers)
            for pattern, method in _ROUTES:
                if found := re.fullmatch(pattern, target.path):
                    method(self, *map(unquote, found.groups()))
                    break
            else:
                self._plain(target.path)
        except _RefusalError as refusal:
            self._send(refusal.status, refusal.headers)

    do_GET = do_HEAD = _answer  # noqa: N815  (http.server wants these names)

    def _about(self, name: str, revision: str = "main") -> None:
        repository, commit = self._find(name, revision)
        files = repository.commits[commit]
        with_blobs = "blobs=" in self._query
        about = {
            "id": name,
            "sha": commit,
            "private": repository.private,
            "gated": "auto" if repository.gated else False,
            "cardData": {"license": repository.licence} if repository.licence else {},
            "siblings": [f.described() if with_blobs else f.sibling for f in files.values()],
        }
        self._send(200, {"Content-Type": "application/json"}, json.dumps(about).encode())

    def _resolve(self, name: str, revision: str, file: str) -> None:
        repository, commit = self._find(name, revision)
        self._let_in(name, repository)
        found = repository.commits[commit].get(file)
        if not found:
            raise _refused(404, "Entry not found", "EntryNotFound")
        if not found.large:
            place = f"/api/resolve-cache/models/{name}/{commit}/{file}?etag=%22{found.digest}%22"
            self._send(307, {"X-Repo-Commit": commit, "Location": place})
            return
        hub = self.server.hub
        storage = "storage.test" if self._request.proxied else hub.storage
        other_protocol = f"{hub.url}/api/models/{name}/xet-read-token/{commit}"
        headers = {
            "X-Repo-Commit": commit,
            "Location": f"http://{storage}/storage/{name}/{found.sha256}/{file}?{_SIGNATURE}",
            "X-Linked-Size": str(found.claimed_size),
            "X-Linked-ETag": f'"{found.sha256}"',
        }
        if repository.xet:
            headers["X-Xet-Hash"] = found.sha256
            headers["Link"] = f'<{other_protocol}>; rel="xet-auth"'
        self._send(302, headers)

    def _resolve_cache(self, name: str, commit: str, file: str) -> None:
        repository, _ = self._find(name, commit)
        self._let_in(name, repository)
        found = repository.commits[commit][file]
        self._send_file(found.data, {"X-Repo-Commit": commit, "ETag": f'"{found.digest}"'})

    def _storage(self, name: str, sha256: str, file: str) -> None:
        if self._query != _SIGNATURE:
            raise _refused(403, "not signed")
        for files in self.server.hub.repositories[name].commits.values():
            if file in files and files[file].sha256 == sha256:
                self._send_file(files[file].data, {"ETag": f'"{sha256[:32]}"'})
                return
        raise _refused(404, "no such object")

    def _whoami(self) -> None:
        account = self._account()
        if account is None:
            raise _refused(401, "Invalid username or password.")
        about = {"type": "user", "name": account}
        self._send(200, {"Content-Type": "application/json"}, json.dumps(about).encode())

    def _account(self) -> str | None:
        """Whose token was sent; None without one."""
        accounts = self.server.hub.accounts
        token = self._request.authorization.removeprefix("Bearer ")
        if not token:
            return None
        if accounts and token not in accounts:
            raise _refused(401, "Invalid credentials in Authorization header")
        return accounts.get(token, "somebody")

    def _find(self, name: str, revision: str) -> tuple[Repository, str]:
        repository = self.server.hub.repositories.get(name)
        account = self._account()
        if not repository and "gated" in name:
            raise _refused(403, "Access to this model is restricted.", "GatedRepo")
        if not repository or (repository.private and account not in repository.readers):
            raise _refused(404 if account else 401, "Repository not found", "RepoNotFound")
        commit = repository.refs.get(revision, revision)
        if commit not in repository.commits:
            raise _refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return repository, commit

    def _let_in(self, name: str, repository: Repository) -> None:
        account = self._account()
        if repository.gated and account not in repository.readers:
            message = f"Access to model {name} is restricted."
            raise _refused(403 if account else 401, message, "GatedRepo")

    def _plain(self, path: str) -> None:
        data = self.server.hub.files.get(path)
        if data is None:
            raise _refused(404, "no such file")
        self._send_file(data, {})

    def _send(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
        self._send_head(status, headers, len(body))
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_head(self, status: int, headers: Mapping[str, str], length: int) -> None:
        self._request.status = status
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def _send_file(self, data: bytes, headers: dict[str, str]) -> None:
        fault = None
        if self.command == "GET":
            fault = self.server.hub.take_fault(self._request, of_content=True)
        fault = fault or Fault("", 0, "")
        start = int((self._request.range or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        end = len(data) - fault.short_by
        if self._request.range and start >= end:
            raise _RefusalError(416, {"Content-Range": f"bytes */{end}"})
        headers |= {"Accept-Ranges": "bytes"}
        if self._request.range:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{end}"
        self._send_head(206 if self._request.range else 200, headers, end - start)
        if self.command == "GET":
            self._send_content(bytes(len(data)) if fault.corrupt else data, start, end, fault)

    def _send_content(self, data: bytes, start: int, end: int, fault: Fault) -> None:
        stall_at, cut_at = fault.stall_at, fault.cut_at
        while True:
            stops = [at for at in (stall_at, cut_at) if at is not None and at >= start]
            stop = min(end, start + _SLICE, *stops)
            self.wfile.write(data[start:stop])
            self._request.sent += stop - start
            start = stop
            if fault.rate:
                time.sleep(_SLICE / fault.rate)
            if start in (stall_at, cut_at):
                fault.reached.set()
            if start == stall_at:
                fault.release.wait()
                stall_at = None
            if start == cut_at:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            if start == end:
                return

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


_NAME = r"([^/]+/[^/]+)"
_ROUTES: Final[tuple[tuple[str, Callable[..., None]], ...]] = (
    (r"/api/whoami-v2", _Handler._whoami),
    (rf"/api/models/{_NAME}", _Handler._about),
    (rf"/api/models/{_NAME}/revision/([^/]+)", _Handler._about),
    (rf"/api/resolve-cache/models/{_NAME}/([^/]+)/(.+)", _Handler._resolve_cache),
    (rf"/storage/{_NAME}/([^/]+)/(.+)", _Handler._storage),
    (rf"/{_NAME}/resolve/([^/]+)/(.+)", _Handler._resolve),
)


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub that serves until the end of the block."""
    hub = Hub()
    hub.start()
    try:
        yield hub
    finally:
        hub.stop()
