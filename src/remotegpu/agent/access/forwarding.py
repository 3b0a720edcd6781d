"""Port forwarding to services on this host's own loopback."""

import asyncio
from typing import cast

import asyncssh
from asyncssh.constants import OPEN_ADMINISTRATIVELY_PROHIBITED, OPEN_CONNECT_FAILED
from asyncssh.forward import SSHForwarder

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def check_target(host: str) -> None:
    """Only this host: never into the operator's network, which the agent can reach and customers must not.

    Raises ``asyncssh.ChannelOpenError``, which becomes the refusal the client sees.
    """
    if host not in _LOOPBACK:
        raise asyncssh.ChannelOpenError(
            OPEN_ADMINISTRATIVELY_PROHIBITED,
            f"forwarding goes to 127.0.0.1 or localhost of this machine, not to {host}",
        )


async def forward(host: str, port: int) -> asyncssh.SSHTCPSession[bytes]:
    """Connect to the service. Raises ``asyncssh.ChannelOpenError`` when nothing listens there."""
    try:
        _, service = await asyncio.get_running_loop().create_connection(SSHForwarder, host, port)
    except OSError as error:
        raise asyncssh.ChannelOpenError(OPEN_CONNECT_FAILED, str(error)) from None
    return cast("asyncssh.SSHTCPSession[bytes]", _ChannelSide(service))


class _ChannelSide(SSHForwarder):
    """asyncssh's forwarder, closing the channel when both directions have ended.

    asyncssh leaves a channel open whose service ended first and whose client ended second: each waits for the other,
    and ``ssh -W`` hangs.
    """

    def eof_received(self) -> bool:
        goes_on = super().eof_received()
        if not goes_on:
            asyncio.get_running_loop().call_soon(self.close)
        return goes_on
