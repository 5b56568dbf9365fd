"""Contacts the hub, in a child of the probe, and checks that it accepts the token.

It uses the hub's own client, so that proxies and certificates apply as they do for a download.
"""

from __future__ import annotations

import time
from typing import Any, Final

_SECONDS: Final = 10.0
"""Time limit per request."""
_PROXY_REFUSES: Final = 407


def ask() -> dict[str, Any]:
    """Return facts: `reachable` and `error`, `seconds`, `tokenValid` and `user`."""
    from huggingface_hub import constants, get_token, utils

    client: Any = utils
    facts: dict[str, Any] = {"reachable": False}
    session = client.get_session()
    started = time.perf_counter()
    try:
        answer = session.get(f"{constants.ENDPOINT}/api/models?limit=1", timeout=_SECONDS)
        facts["seconds"] = round(time.perf_counter() - started, 3)
        if answer.status_code >= 500 or answer.status_code == _PROXY_REFUSES:
            facts["error"] = f"the hub answered HTTP {answer.status_code}"
            return facts
        facts["reachable"] = True
        if token := get_token():
            headers = client.build_hf_headers(token=token)
            url = f"{constants.ENDPOINT}/api/whoami-v2"
            answer = session.get(url, headers=headers, timeout=_SECONDS)
            if answer.status_code in (401, 403):
                facts["tokenValid"] = False
            elif answer.status_code == 200:
                facts |= {"tokenValid": True, "user": str(answer.json().get("name", ""))}
    except Exception as error:  # the hub's client changes its HTTP library between versions
        facts["error"] = f"{type(error).__name__}: {error}"
    return facts
