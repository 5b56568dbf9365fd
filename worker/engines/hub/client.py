"""huggingface_hub's client as it is needed here: when it asks again, and what its errors mean."""

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
"""Bytes that are written at a time, and lost when the connection or the process ends."""

_LOOK_UPS: Final = 3
"""How often the hub is asked what there is."""
_PAUSE_SECONDS: Final = 0.5
"""Before the second attempt; twice that before the third, and so on."""
_LONGEST_PAUSE_SECONDS: Final = 8.0
_LONGEST_WISH_SECONDS: Final = 60
"""How long a server may have us wait."""
_NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT)
_QUERY: Final = re.compile(r"\?[^\s'\"]+")

_Result = TypeVar("_Result")
_log = logging.getLogger(__name__)


def set_up() -> None:
    """Have huggingface_hub work as is needed here, in the whole process."""
    # Plain HTTP goes on where it was broken off; its other protocols begin anew.
    constants.HF_HUB_DISABLE_XET = True
    constants.HF_HUB_ENABLE_HF_TRANSFER = False
    constants.DOWNLOAD_CHUNK_SIZE = CHUNK
    if not constants.HF_HUB_OFFLINE:
        configure_http_backend(_session)
    logging.getLogger("huggingface_hub").handlers.clear()  # the root's are ours
    for handler in logging.getLogger().handlers:
        handler.addFilter(_without_queries)


def insist(
    call: Callable[[], _Result],
    attempts: int = _LOOK_UPS,
    arrived: Callable[[], int] = lambda: 0,
) -> _Result:
    """Ask again after a transient failure: a few times, or as long as bytes keep coming."""
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
            wish = getattr(getattr(error, "response", None), "headers", {}).get("Retry-After", "")
            if wish.isdecimal():
                pause = max(pause, min(int(wish), _LONGEST_WISH_SECONDS))
            _log.info("%s: asking again in %.1f s", type(error).__name__, pause)
            time.sleep(pause)


@contextmanager
def hub_errors(repository: str) -> Iterator[None]:
    """Turn what the hub's client raises into errors that say what to do.

    Nothing of its text is kept: it may hold addresses with a signature in them.
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
            f"The model {repository} is not on this machine, and HF_HUB_OFFLINE forbids to fetch "
            "it.",
            remedy="Unset HF_HUB_OFFLINE, or give the path of a local model directory.",
            model=repository,
            repository=repository,
            unreachable=True,
        ) from None
    except errors.HFValidationError:
        raise RpcError(
            "model_not_found", f"{repository} is not a name that the hub allows.", model=repository
        ) from None
    except (requests.exceptions.InvalidHeader, UnicodeError):
        raise RpcError("token_invalid", model=repository) from None  # it fits into no header
    except errors.GatedRepoError:
        page = f"https://huggingface.co/{repository}"
        raise RpcError(
            "model_gated",
            f"The makers of {repository} want their terms accepted on {page} before it can be "
            "fetched.",
            model=repository,
            repository=repository,
            page=page,
        ) from None
    except errors.RevisionNotFoundError:
        raise RpcError(
            "model_not_found",
            f"The model {repository} has no such revision.",
            remedy="Give a branch, a tag or a commit that its page lists.",
            model=repository,
        ) from None
    except errors.RepositoryNotFoundError:
        whom = "does not show it to this token" if get_token() else "shows it to no stranger"
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
        # Where the library finds nothing in the cache instead, it hides why it has looked.
        hidden = isinstance(error, errors.LocalEntryNotFoundError)
        response = getattr(error.__cause__ if hidden else error, "response", None)
        if response is None:
            raise failed("what answers is no hub") from None
        if response.status_code == 401:
            kind = "token_invalid" if get_token() else "token_missing"
            raise RpcError(kind, model=repository) from None
        status = response.status_code
        raise failed(f"the server answers with status {status}", status=status) from None
    except requests.JSONDecodeError:  # a page to log in to some network, say
        raise failed("what answers is no hub", unreachable=True) from None
    except requests.RequestException:
        raise failed("the connection breaks off again and again", unreachable=True) from None
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise RpcError("disk_full", path=error.filename or constants.HF_HUB_CACHE) from None
        if error.errno is None:
            raise failed("it ends early again and again") from None
        raise failed(
            f"{error.filename or constants.HF_HUB_CACHE} cannot be used ({error.strerror})",
            remedy="Set HF_HOME to a directory that can be written.",
        ) from None
    except Exception as error:  # what a server sends may break the client in many a way
        raise failed(type(error).__name__) from None


class _TryAgainError(requests.RequestException):
    """A request failed in a way that may pass. Without a response, the text says how."""


class _Adapter(HTTPAdapter):
    """Gives each request a time limit, and leaves it to us to ask again.

    huggingface_hub repeats some requests for half a minute and others never, and would wait for
    some answers without an end.
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
    """Addresses of large files are signed: with one, anybody can fetch the file for a while."""
    record.msg, record.args = _QUERY.sub("?…", record.getMessage()), ()
    return True


def _transient(error: Exception) -> bool:
    if isinstance(error, _TryAgainError | requests.exceptions.ChunkedEncodingError):
        return True
    # What the client raises when a file is shorter than it was said to be.
    return type(error) is OSError and error.errno is None
