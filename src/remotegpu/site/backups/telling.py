"""Tells people through the site's channels: once when a job has failed for good, once when it works again."""

import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from remotegpu.kit.channels.models import Channel, ChannelError, Message
from remotegpu.kit.clock import utc_now
from remotegpu.site.backups import outbox
from remotegpu.site.backups.due import Name
from remotegpu.site.backups.notices import Speaker

Send = Callable[[Channel, Message, datetime], None]
EVERY_S = 5.0
"""How often it is looked whether something is to be sent again."""

log: Any = structlog.get_logger()  # Any: structlog's loggers are made when first used


class Teller:
    """``root``: where its state is kept. What it is told is on disk before anything is sent, if the disk takes it."""

    def __init__(self, root: Path, channels: tuple[Channel, ...], speaker: Speaker, send: Send) -> None:
        self._root, self._speaker, self._send = root, speaker, send
        self._channels = {channel.name: channel for channel in channels}
        self._changing = threading.Lock()
        self._news = threading.Event()
        self._state = outbox.read(root)

    def job_failed(self, job: Name, error: str, began: datetime, *, is_final: bool) -> None:
        """After each attempt that failed."""
        if not self._channels:
            return  # nobody to tell; whoever is named later hears of the next failure
        with self._changing:
            state, trouble = outbox.failed(self._state, job, began, is_final=is_final)
            if trouble is not None:
                since, attempts = trouble.since, trouble.attempts
                told = self._speaker.failed(job, since=since, attempts=attempts, reason=error, at=utc_now())
                state = outbox.put(state, told, self._channels)
            self._keep(state)
        self._news.set()

    def job_worked(self, job: Name) -> None:
        """After each that succeeded."""
        with self._changing:
            state, ended = outbox.worked(self._state, job)
            if ended is not None:
                told = self._speaker.works(job, since=ended.since, at=utc_now())
                state = outbox.put(state, told, self._channels)
            self._keep(state)
        self._news.set()

    def keep_delivering(self) -> None:
        """For a thread of its own: an other side that does not answer holds up no backup."""
        while True:
            self.deliver()
            self._news.wait(EVERY_S)
            self._news.clear()

    def deliver(self) -> None:
        """Send what is due now."""
        with self._changing:
            self._keep(outbox.tidied(self._state, self._channels, utc_now()))
        while ready := outbox.due(self._state, utc_now()):
            for each in ready:
                self._deliver(each)

    def _deliver(self, each: outbox.Waiting) -> None:
        """The state is free meanwhile: that may take long."""
        error = self._refusal(each)
        with self._changing:
            now = utc_now()
            self._keep(
                outbox.not_delivered(self._state, each, error, now)
                if error
                else outbox.delivered(self._state, each, now)
            )
        if error:
            log.warning("nobody was told", channel=each.channel, error=error, attempts=each.attempts + 1)
        else:
            log.info("people were told", channel=each.channel, title=each.message.title)

    def _refusal(self, each: outbox.Waiting) -> str:
        """Why it did not get through; empty when it did."""
        try:
            self._send(self._channels[each.channel], each.message, utc_now())
        except ChannelError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other channels go on; its text may hold a secret
            return f"channel {each.channel}: found {type(error).__name__} while sending, expected none. Report it."
        return ""

    def _keep(self, state: outbox.State) -> None:
        """A full disk is among what people are to be told: without it the state is kept in memory alone."""
        if state == self._state:
            return
        self._state = state
        try:
            outbox.write(self._root, state)
        except OSError as error:
            log.warning("cannot keep what people were told", error=str(error))
