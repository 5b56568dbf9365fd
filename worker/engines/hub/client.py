"""huggingface_hub's client, set up for the worker: when it tries again, and what its errors mean.

The library retries some requests for half a minute and others never. Here every look-up has the
same few attempts, and a download goes on for as long as bytes keep coming.
"""

from __future__ import annotations

import errno
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import requests
from huggingface_hub import configure_http_backend, constants, errors, get_token
from requests.adapters import HTTPAdapter

from protocol.errors import RpcError

CHUNK: Final = 1 << 16
"""Bytes per write: as much is lost when the connection or the process ends."""

_LOOK_UPS: Final = 3
"""Attempts to ask the hub about a repository."""
_PAUSE_SECONDS: Final = 0.5
"""Before the second attempt; it doubles with each further one."""
_LONGEST_PAUSE_SECONDS: Final = 8.0
_LONGEST_RETRY_AFTER: Final = 60
"""The longest pause in seconds that a server may ask for."""
_NO_HUB: Final = "the endpoint does not behave like a Hugging Face hub"
_NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT)
_QUERY: Final = re.compile(r"\?[^\s'\"]+")

_Result = TypeVar("_Result")
_log = logging.getLogger(__name__)


def configure() -> None:
    """Configure huggingface_hub for the whole process."""
    # Plain HTTP resumes a download; the library's other protocols start over.
    constants.HF_HUB_DISABLE_XET = True
    constants.HF_HUB_ENABLE_HF_TRANSFER = False
    constants.DOWNLOAD_CHUNK_SIZE = CHUNK
    if not constants.HF_HUB_OFFLINE:
        configure_http_backend(_session)
    logging.getLogger("huggingface_hub").handlers.clear()  # the root logger has ours
    for handler in logging.getLogger().handlers:
        handler.addFilter(_without_queries)


def retrying(
    call: Callable[[], _Result],
    attempts: int = _LOOK_UPS,
    arrived: Callable[[], int] = lambda: 0,
) -> _Result:
    """Call, and try again after a transient failure: `attempts` times since bytes last arrived."""
    tried, highest = 0, arrived()
    while True:
        try:
            return call()
        except Exception as error:
            if not _transient(error):
                raise
            tried = 1 if arrived() > highest else tried + 1
            highest = max(highest, arrived())
            if tried >= attempts:
                raise
            pause = min(_PAUSE_SECONDS * 2 ** (tried - 1), _LONGEST_PAUSE_SECONDS)
            retry_after = getattr(getattr(error, "response", None), "headers", {}).get(
                "Retry-After", ""
            )
            if retry_after.isdecimal():
                pause = max(pause, min(int(retry_after), _LONGEST_RETRY_AFTER))
            _log.info("%s: trying again in %.1f s", type(error).__name__, pause)
            time.sleep(pause)


@contextmanager
def hub_errors(repository: str) -> Iterator[None]:
    """Turn errors of the hub's client into errors that say what to do.

    None of the client's text is kept: it may hold signed URLs.
    """

    def failed(why: str, **details: Any) -> RpcError:
        message = f"The model {repository} could not be downloaded: {why}."
        return RpcError("model_download_failed", message, model=repository, **details)

    try:
        yield
    except RpcError:
        raise
    except errors.OfflineModeIsEnabled:
        raise RpcError(
            "model_not_cached",
            f"The model {repository} is not on this machine, and HF_HUB_OFFLINE forbids downloads.",
            remedy="Unset HF_HUB_OFFLINE, or give the path of a local model directory.",
            model=repository,
            repository=repository,
            unreachable=True,
        ) from None
    except errors.HFValidationError:
        raise RpcError(
            "model_not_found", f"The hub does not allow the name {repository}.", model=repository
        ) from None
    except (requests.exceptions.InvalidHeader, UnicodeError):
        # The token does not fit into a header.
        raise RpcError("token_invalid", model=repository) from None
    except errors.GatedRepoError:
        page = f"https://huggingface.co/{repository}"
        raise RpcError(
            "model_gated",
            f"The authors of {repository} require that you accept their terms on {page} first.",
            model=repository,
            repository=repository,
            page=page,
        ) from None
    except errors.RevisionNotFoundError:
        raise RpcError(
            "model_not_found",
            f"The model {repository} has no such revision.",
            remedy="Give a branch, a tag or a commit that the model's page lists.",
            model=repository,
        ) from None
    except errors.RepositoryNotFoundError:
        whom = "hides it from this token" if get_token() else "shows it only with a token"
        raise RpcError(
            "model_not_found", f"The hub has no model {repository}, or {whom}.", model=repository
        ) from None
    except _TryAgainError as error:
        if error.response is None:
            raise failed(str(error), unreachable=True) from None
        status = error.response.status_code
        why = f"the server answers with status {status}"
        raise failed(why, unreachable=True, status=status) from None
    except requests.HTTPError as error:
        # When the library then finds nothing in the cache either, it hides what the hub said.
        hidden = isinstance(error, errors.LocalEntryNotFoundError)
        response = getattr(error.__cause__ if hidden else error, "response", None)
        if response is None:
            raise failed(_NO_HUB) from None
        if response.status_code == 401:
            kind = "token_invalid" if get_token() else "token_missing"
            raise RpcError(kind, model=repository) from None
        status = response.status_code
        raise failed(f"the server answers with status {status}", status=status) from None
    except requests.JSONDecodeError:  # the login page of a network, say
        raise failed(_NO_HUB, unreachable=True) from None
    except requests.RequestException:
        raise failed("the connection keeps breaking off", unreachable=True) from None
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise RpcError("disk_full", path=error.filename or constants.HF_HUB_CACHE) from None
        if error.errno is None:
            raise failed("it keeps ending early") from None
        raise failed(
            f"{error.filename or constants.HF_HUB_CACHE} cannot be used ({error.strerror})",
            remedy="Set HF_HOME to a writable directory.",
        ) from None
    except Exception as error:  # a server's answer may break the library in any way
        raise failed(type(error).__name__) from None


class _TryAgainError(requests.RequestException):
    """A request failed for now. Without a response, the text says how."""


class _Adapter(HTTPAdapter):
    """Gives each request a time limit, and leaves further attempts to `insist`.

    huggingface_hub would wait for some answers for ever.
    """

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        """Send a request."""
        timeout = timeout or constants.HF_HUB_ETAG_TIMEOUT
        try:
            reply = super().send(request, stream, timeout, verify, cert, proxies)
        except requests.exceptions.SSLError:
            raise _TryAgainError("the server's certificate is not trusted") from None
        except requests.exceptions.ProxyError:
            raise _TryAgainError("the proxy cannot be reached") from None
        except (requests.ConnectionError, requests.Timeout):
            raise _TryAgainError("the server cannot be reached") from None
        if reply.status_code in (408, 429) or reply.status_code >= 500:
            reply.close()
            raise _TryAgainError(response=reply)
        return reply


def _session() -> requests.Session:
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter())
    return session


def _without_queries(record: logging.LogRecord) -> bool:
    """Cut queries from URLs: a signed URL lets anybody fetch the file for a while."""
    record.msg, record.args = _QUERY.sub("?…", record.getMessage()), ()
    return True


def _transient(error: Exception) -> bool:
    if isinstance(error, _TryAgainError | requests.exceptions.ChunkedEncodingError):
        return True
    # The library raises this when a file is shorter than announced.
    return type(error) is OSError and error.errno is None
