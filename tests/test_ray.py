"""`examples/ray` on a real cluster: two nodes on this machine, killed actors, a lost node."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import pytest

from tests.snippets import snippets, workplace
from tests.support import (
    PATIENCE,
    RECORDINGS,
    children,
    kill_hard,
    tree,
    wait_until,
    wait_until_gone,
)
from tests.test_batch import QUICK, Done, batch, files, report_of

ROOT = Path(__file__).parent.parent
FORMATS = ["--formats", "srt,json"]
NODES = """
import socket
import sys
from contextlib import ExitStack
from ray.cluster_utils import Cluster

AGENTS = "metrics_agent", "metrics_export", "dashboard_agent_listen", "runtime_env_agent"

def start(**options):
    with ExitStack() as stack:  # a node that must wait for the ports of its agents gives up soon
        for name in AGENTS:
            free = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            options[f"{name}_port"] = free.getsockname()[1]
    node = cluster.add_node(
        node_ip_address="127.0.0.1", num_cpus=2, object_store_memory=100 << 20,
        include_log_monitor=False, **options,
    )
    print(node.all_processes["raylet"][0].process.pid, flush=True)
    return node

# A node is lost within seconds, though never for a pause on a machine that is busy.
health = {"health_check_initial_delay_ms": 0, "health_check_timeout_ms": 20000}
cluster = Cluster()
start(num_gpus=0, include_dashboard=False, no_monitor=True, _system_config=health)
other = start(num_gpus=2)
print(cluster.address, flush=True)
for line in sys.stdin:
    cluster.remove_node(other, allow_graceful=False)
    print("removed", flush=True)
    other = start(num_gpus=2)
cluster.shutdown()
"""
"""Two nodes, the second with two GPUs by its own account; each line of stdin replaces it."""


class Nodes:
    """A cluster in a process of its own, on loopback alone."""

    def __init__(self, temporary: str, log: IO[bytes]) -> None:
        self.env = {
            **os.environ,
            "RAY_AUTH_MODE": "disabled",
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # no address but loopback
            "RAY_TMPDIR": temporary,
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        del self.env["CUDA_VISIBLE_DEVICES"]  # or no node may claim to have a GPU
        self._process = subprocess.Popen(
            [sys.executable, "-c", NODES],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=self.env,
            text=True,
        )

    def start(self) -> None:
        """Wait until it is there."""
        self.head, self.other = int(self._said()), int(self._said())
        self.env["RAY_ADDRESS"] = self._said()

    def lose_node(self) -> None:
        """Kill all processes of the second node; another takes its place."""
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        assert self._said() == "removed"

    def renew(self) -> None:
        """Wait for the node that takes a lost one's place."""
        self.other = int(self._said())

    def working(self, raylet: int) -> dict[int, int]:
        """The actors of a node that are at work with an engine: their workers."""
        found = {}
        for actor in children(raylet):
            with suppress(FileNotFoundError, ProcessLookupError):
                for worker in children(actor):
                    title = Path(f"/proc/{actor}/cmdline").read_bytes()
                    if title.startswith(b"ray::Transcriber.transcribe") and children(worker):
                        found[actor] = worker
        return found

    def close(self) -> None:
        """Stop it; nothing is left of it."""
        everybody = tree(self._process.pid)
        with self._process:
            assert self._process.stdin
            self._process.stdin.close()
            self._process.wait(PATIENCE)
        wait_until_gone(everybody)

    def _said(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline().strip()
        assert line, "the cluster has ended; its log is in the test's folder"
        return line


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    # The paths of its sockets must be short.
    place = tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True)
    with place as temporary, (tmp_path_factory.mktemp("ray") / "log").open("wb") as log:
        nodes = Nodes(temporary, log)
        try:
            nodes.start()
            yield nodes
        finally:
            nodes.close()


class Spread:
    """The example at work on the cluster, started where none of its code is."""

    def __init__(
        self, nodes: Nodes, folder: Path, output_dir: Path, *args: str | Path, manifest: bytes = b""
    ) -> None:
        self.output_dir = output_dir
        folder.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "examples.ray", "--output-dir", str(output_dir)]
        self.process = subprocess.Popen(
            [*command, *map(str, (*QUICK, *args))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**nodes.env, "PYTHONPATH": str(ROOT)},
            cwd=folder,
        )
        assert self.process.stdin
        self.process.stdin.write(manifest)
        self.process.stdin.close()
        self.process.stdin = None

    def until(self, what: Callable[[], Any]) -> Any:
        """Wait until something is so, while the example runs."""

        def found() -> Any:
            result = what()
            assert result or self.process.poll() is None, self.process.communicate()[1].decode()
            return result

        return wait_until(found)

    def end(self) -> Done:
        """How it ended."""
        stdout, stderr = self.process.communicate()
        there = (self.output_dir / "report.jsonl").exists()
        lines = report_of(self.output_dir) if there else []
        return Done(self.process.returncode, lines, stderr.decode(), stdout.decode())


@pytest.fixture
def spread(nodes: Nodes, tmp_path: Path) -> Iterator[Callable[..., Spread]]:
    """Start the example; it ends with the test, and leaves nothing on the nodes."""
    running: list[Spread] = []

    def start(output_dir: Path, *args: str | Path, **options: Any) -> Spread:
        running.append(Spread(nodes, tmp_path / "elsewhere", output_dir, *args, **options))
        return running[-1]

    yield start
    for each in running:
        with each.process:
            each.process.kill()


def comparable(lines: list[dict[str, Any]], output_dir: Path) -> list[dict[str, Any]]:
    """A report without times and the place, in the order of the inputs."""
    text = json.dumps(sorted(lines, key=lambda line: str(line["input"])))
    kept: list[dict[str, Any]] = json.loads(text.replace(str(output_dir), "DIR"))
    return [
        {name: value for name, value in line.items() if name not in ("seconds", "realTimeFactor")}
        for line in kept
    ]


def manifest_of(*entries: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in entries)


DISTURBED = manifest_of(
    {"audio": str(RECORDINGS / "demo.flac"), "name": "first"},
    {"audio": str(RECORDINGS / "demo.flac"), "name": "second", "temperature": 0.8},
    {"audio": str(RECORDINGS / "de-02.flac"), "name": "third", "temperature": 0.8},
)
"""Two of them draw tokens at random, alike in whatever order they are done."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one machine writes for `DISTURBED`."""
    output_dir = tmp_path_factory.mktemp("undisturbed")
    assert batch(output_dir, *FORMATS, stdin=DISTURBED).code == 0
    return files(output_dir)


@pytest.mark.slow
def test_a_cluster_gives_the_results_of_one_machine(
    tmp_path: Path, spread: Callable[..., Spread]
) -> None:
    manifest = manifest_of(
        *({"audio": str(RECORDINGS / f"en-0{n}.flac"), "name": f"talk {n}"} for n in range(1, 5)),
        {"audio": str(RECORDINGS / "de-01.flac"), "outputDir": "sub", "end": 1.2},
        {"audio": "/nowhere.wav", "name": "lost"},
        {"audio": str(RECORDINGS / "de-02.flac"), "name": "wrong", "beamSzie": 2},
        {"name": "nothing"},
    )
    one, many = tmp_path / "one", tmp_path / "many"
    expected = batch(one, *FORMATS, stdin=manifest)
    done = spread(many, *FORMATS, "--jobs", "2", manifest=manifest).end()
    assert (done.code, expected.code) == (1, 1)
    assert len(files(many)) == 10
    assert files(many) == files(one)
    assert comparable(done.lines, many) == comparable(expected.lines, one)
    assert "/nowhere.wav: There is no file" in done.stderr
    assert done.stdout.startswith("5 done, 3 failed, 0 skipped; 0:00:")

    again = spread(one, *FORMATS, "--resume", manifest=manifest).end()
    assert sorted(again.of("skipped")) == ["de-01.flac", *(f"en-0{n}.flac" for n in range(1, 5))]
    assert {line["reason"] for line in again.lines if line["outputs"]} == {"done"}


@pytest.mark.slow
@pytest.mark.parametrize("what", ["actor", "worker", "node"])
def test_another_actor_does_the_file_of_a_lost_one(
    what: str,
    tmp_path: Path,
    nodes: Nodes,
    spread: Callable[..., Spread],
    undisturbed: dict[str, bytes],
) -> None:
    running = spread(tmp_path / "out", *FORMATS, "--jobs", "2", manifest=DISTURBED)

    def both() -> list[dict[int, int]] | None:
        found = [nodes.working(raylet) for raylet in (nodes.head, nodes.other)]
        return found if all(found) else None

    _, ours = running.until(both)  # an actor on each node
    ((actor, worker),) = ours.items()
    assert b"CUDA_VISIBLE_DEVICES=\0" in Path(f"/proc/{worker}/environ").read_bytes()
    lost = tree(worker)
    if what == "actor":
        kill_hard(actor)
    elif what == "worker":
        kill_hard(worker)
    else:
        nodes.lose_node()
    done = running.end()
    if what == "node":
        nodes.renew()
    assert (done.code, done.stderr) == (0, "")
    assert [line["status"] for line in done.lines] == ["ok"] * 3
    assert files(tmp_path / "out") == undisturbed
    wait_until_gone(lost)


@pytest.mark.slow
def test_a_file_that_costs_every_actor_fails_alone(
    tmp_path: Path, nodes: Nodes, spread: Callable[..., Spread]
) -> None:
    running = spread(
        tmp_path / "out", *FORMATS, "--jobs", "1", "--attempts", "2",
        RECORDINGS / "demo.flac", RECORDINGS / "de-02.flac",
    )  # fmt: skip
    report = tmp_path / "out" / "report.jsonl"

    def working() -> dict[int, int]:
        return nodes.working(nodes.head) | nodes.working(nodes.other)

    (first,) = running.until(working)
    kill_hard(first)
    running.until(lambda: b'"ok"' in report.read_bytes())
    (second,) = running.until(working)
    kill_hard(second)
    done = running.end()
    assert done.code == 1
    assert (done.of("ok"), done.of("failed")) == (["de-02.flac"], ["demo.flac"])
    assert done.lines[1]["error"]["kind"] == "engine_crashed"
    assert "its actor was lost: The actor died" in done.stderr


@pytest.mark.slow
def test_each_worker_sees_its_actors_gpu_and_ctrl_c_ends_all_of_them(
    tmp_path: Path, nodes: Nodes, spread: Callable[..., Spread]
) -> None:
    running = spread(tmp_path / "out", *FORMATS, "--num-gpus", "1", manifest=DISTURBED)

    def two() -> list[int] | None:
        workers = list(nodes.working(nodes.other).values())
        return workers if len(workers) == 2 else None

    workers = running.until(two)
    environments = [Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") for pid in workers]
    visible = [each for env in environments for each in env if each.startswith(b"CUDA_VIS")]
    assert sorted(visible) == [b"CUDA_VISIBLE_DEVICES=0", b"CUDA_VISIBLE_DEVICES=1"]
    everybody = [each for pid in workers for each in tree(pid)]
    running.process.send_signal(signal.SIGINT)
    done = running.end()
    assert done.code == 130
    assert "Traceback" not in done.stderr
    assert [line["error"]["kind"] for line in done.lines] == ["cancelled", "cancelled"]
    wait_until_gone(everybody)
    assert files(tmp_path / "out") == {}


@pytest.mark.slow
def test_a_cluster_without_room_is_an_error(tmp_path: Path, spread: Callable[..., Spread]) -> None:
    done = spread(tmp_path / "out", "--num-gpus", "3", RECORDINGS / "de-02.flac").end()
    assert done.code == 2
    assert "No node has 1 CPUs and 3 GPUs" in done.stderr


def test_an_actor_names_its_node_when_it_does_not_see_the_output_folder(tmp_path: Path) -> None:
    from examples.ray.actor import Transcriber

    actor = Transcriber(tmp_path, Path.cwd(), resume=False)
    assert actor.blind(tmp_path / "not mounted" / "seal") == socket.gethostname()
    assert actor.blind(tmp_path) is None


@pytest.mark.slow
def test_the_documents_command_runs(nodes: Nodes, tmp_path: Path) -> None:
    (block,) = snippets("examples/ray/README.md")
    with workplace(tmp_path) as place:
        place.env |= {name: value for name, value in nodes.env.items() if name.startswith("RAY")}
        assert "4 done, 0 failed" in place.run(block)
