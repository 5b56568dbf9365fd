"""The methods on this machine, `environment/…`: what works on it, and its compute devices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from worker.methods.recordings import work_methods
from worker.session.lane import Method, answer_aside, as_json

if TYPE_CHECKING:
    from protocol.environment import DevicesParams, ProbeParams
    from worker.session.job import Job, Json, Later
    from worker.system.log import Log


class EnvironmentMethods:
    """Serves `environment/…`. `token_variables` returns the variables that hold the hub's token."""

    def __init__(self, token_variables: Callable[[], Mapping[str, str]], log: Log) -> None:
        self._token_variables = token_variables
        self._log = log

    def methods(self) -> dict[str, Method]:
        """For a lane that they leave at once."""
        return work_methods({"environment/probe": self.probe, "environment/devices": self.devices})

    def probe(self, job: Job, params: ProbeParams) -> Later:
        """Serve `environment/probe`."""

        def work() -> Json:
            from protocol.progress import ProgressReport
            from worker.probe.probe import probe

            def tell(done: int, total: int) -> None:
                job.report(ProgressReport(stage="probe", percentage=round(100 * done / total, 2)))

            return as_json(
                probe(
                    params,
                    job.raise_if_cancelled,
                    environment=self._token_variables(),
                    progress=tell,
                )
            )

        return answer_aside(job, "Probing the environment", work, self._log)

    def devices(self, job: Job, params: DevicesParams) -> Later:
        """Serve `environment/devices`."""

        def work() -> Json:
            from worker.probe.probe import devices

            return as_json(devices(params, job.raise_if_cancelled))

        return answer_aside(job, "Looking for devices", work, self._log)
