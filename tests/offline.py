"""Runs a command where there is no network but the loopback.

    python -m tests.offline COMMAND [ARGUMENT…]

On Linux in a network namespace of its own: nothing leaves it, whatever the command tries. Where
the system grants none, the command runs as it is, and that is said. Its user stays who it is.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Final

_COUNTERS: Final = (
    *("TcpActiveOpens", "UdpOutDatagrams", "Udp6OutDatagrams"),
    *("IpOutNoRoutes", "Ip6OutNoRoutes"),
)
_NEW_USER: Final = 0x1000_0000
_NEW_NETWORK: Final = 0x4000_0000


def enter() -> str | None:
    """Leave the network for good; None where that went well, else why not.

    Only a process with a single thread may.
    """
    if sys.platform != "linux":
        return f"{sys.platform} has no network namespaces"
    import errno

    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(_NEW_NETWORK):
        # Who is not root may make one as root of a namespace of users of its own.
        if libc.unshare(_NEW_USER | _NEW_NETWORK):
            return f"no network namespace is granted: {errno.errorcode[ctypes.get_errno()]}"
        for name, content in (
            ("setgroups", "deny"),
            ("uid_map", f"{user} {user} 1"),
            ("gid_map", f"{group} {group} 1"),
        ):
            Path("/proc/self", name).write_text(content)
    _start_loopback()
    return None


def attempts(pid: int | str = "self") -> int:
    """Connections and datagrams that the network namespace of a process has seen tried.

    What had nowhere to go counts as well; reading it costs no attempt.
    """
    network = Path(f"/proc/{pid}/net")
    found = (
        dict(line.split() for line in (network / "snmp6").read_text().splitlines())
        if (network / "snmp6").exists()
        else {}
    )
    lines = (network / "snmp").read_text().splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        protocol, *fields = names.split()
        found |= {
            protocol[:-1] + name: value
            for name, value in zip(fields, values.split()[1:], strict=True)
        }
    return sum(int(found.get(name, 0)) for name in _COUNTERS)


def _start_loopback() -> None:
    """`ip link set lo up`."""
    import fcntl
    import socket
    import struct

    get_flags, set_flags, up = 0x8913, 0x8914, 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sH22x", b"lo", 0)
        _, flags = struct.unpack("16sH22x", fcntl.ioctl(control, get_flags, request))
        fcntl.ioctl(control, set_flags, struct.pack("16sH22x", b"lo", flags | up))


def main(command: list[str]) -> None:
    """Become the command."""
    refused = enter()
    if refused:
        print(f"with network: {refused}", file=sys.stderr)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
