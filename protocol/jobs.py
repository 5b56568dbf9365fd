"""Params and result of `jobs/list`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Raw, UnsetType

from protocol.control import Params, Result


class ListJobsParams(Params, kw_only=True):
    """Params of `jobs/list`."""


class JobInfo(Result, kw_only=True):
    """A work request that waits or runs.

    `stage` and `percentage` come from the last report; only requests with a `progressToken` have
    reports.
    """

    id: Annotated[Raw, Meta(extra_json_schema={"type": ["number", "string", "null"]})]
    """As the client wrote it; null if the request came as a notification."""
    method: str
    state: Literal["waiting", "running"]
    priority: str
    accepted_at: str
    """UTC in ISO 8601."""
    seconds: float
    """Seconds since the worker accepted the request."""
    stage: str | UnsetType = UNSET
    percentage: float | UnsetType = UNSET


class ListJobsResult(Result, kw_only=True):
    """Result of `jobs/list`, in the order of acceptance."""

    jobs: list[JobInfo]
    limit: int
    """The most open jobs; the worker refuses further ones as busy."""
