"""The venue's trading modes: what it does with orders and cancels in each (clob.md 7.3).

Two tables make one state machine. `ANSWERS` says what each mode does with each kind of call,
`AFTER` what follows when its time is over:

- A restart is never just over: the venue comes back for two minutes in which only post-only orders
  and cancels pass, so that makers can rebuild the book before anybody takes from it.
- The other modes end in normal trading. Without an end they last until the next command.
- A command replaces whatever mode is on, the rest of a restart included: there is one venue, and
  its operator's last word counts. An engine that is restarted while cancel-only comes back
  post-only.
- Disabled trading has two texts. Placing gets the long one, cancelling the short one: a client that
  reads only one of them must not take the other for something else.

Pure: time is passed in, Unix milliseconds.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

import attrs

from polybot.exchange.request import Headers, Response, json_response
from polybot.exchange.terms import Terms


class Mode(enum.Enum):
    NORMAL = "normal"
    RESTARTING = "restarting"
    POST_ONLY = "post_only"
    CANCEL_ONLY = "cancel_only"
    DISABLED = "disabled"


class Call(enum.Enum):
    """What a request wants of the matching engine."""

    TAKE = "take"  # place an order that may trade at once
    POST = "post"  # place an order that can only rest
    CANCEL = "cancel"


@attrs.frozen
class Answer:
    """A refusal by mode: HTTP status, text, and the machine-readable code if the venue sends one.

    `tells_wait`: with `Retry-After` and `retry_after_seconds`.
    """

    status: int
    error: str
    code: str = ""
    tells_wait: bool = False


# The body of a 425 is not documented; only its status counts, and clients look at nothing else.
RESTART = Answer(425, "the matching engine is restarting")
POST_ONLY = Answer(
    503,
    "post-only mode: only post-only orders and cancels are allowed",
    "post_only_mode",
    tells_wait=True,
)
CANCEL_ONLY = Answer(
    503,
    "Trading is currently cancel-only. New orders are not accepted, but cancels are allowed.",
)
DISABLED = Answer(503, "Trading is currently disabled. Check polymarket.com for updates")
STOPPED = Answer(503, "trading is disabled")

ANSWERS: dict[Mode, dict[Call, Answer | None]] = {
    Mode.NORMAL:      {Call.TAKE: None,        Call.POST: None,        Call.CANCEL: None},
    Mode.RESTARTING:  {Call.TAKE: RESTART,     Call.POST: RESTART,     Call.CANCEL: RESTART},
    Mode.POST_ONLY:   {Call.TAKE: POST_ONLY,   Call.POST: None,        Call.CANCEL: None},
    Mode.CANCEL_ONLY: {Call.TAKE: CANCEL_ONLY, Call.POST: CANCEL_ONLY, Call.CANCEL: None},
    Mode.DISABLED:    {Call.TAKE: DISABLED,    Call.POST: DISABLED,    Call.CANCEL: STOPPED},
}  # fmt: skip

AFTER: dict[Mode, Mode] = {
    Mode.NORMAL: Mode.NORMAL,
    Mode.RESTARTING: Mode.POST_ONLY,
    Mode.POST_ONLY: Mode.NORMAL,
    Mode.CANCEL_ONLY: Mode.NORMAL,
    Mode.DISABLED: Mode.NORMAL,
}

RESTART_S = 90  # about how long the weekly restart took while its schedule was published


def _nothing(_: int) -> None:
    pass


class Modes:
    """The mode the venue is in. `on_restart` is called with the time at which a restart begins."""

    def __init__(
        self, terms: Terms = Terms(), on_restart: Callable[[int], None] = _nothing
    ) -> None:
        self._terms = terms
        self._on_restart = on_restart
        self._mode = Mode.NORMAL
        self._until_ms: int | None = None

    # --- commands --------------------------------------------------------------------

    def restart(self, now_ms: int, for_s: int = RESTART_S) -> None:
        """Restart the matching engine: 425 for so long, then post-only, then normal."""
        self.switch(Mode.RESTARTING, now_ms, for_s)

    def cancel_only(self, now_ms: int, for_s: int | None = None) -> None:
        self.switch(Mode.CANCEL_ONLY, now_ms, for_s)

    def disable(self, now_ms: int, for_s: int | None = None) -> None:
        self.switch(Mode.DISABLED, now_ms, for_s)

    def resume(self, now_ms: int) -> None:
        """Back to normal at once, whatever was on."""
        self.switch(Mode.NORMAL, now_ms)

    def switch(self, mode: Mode, now_ms: int, for_s: int | None = None) -> None:
        """Enter a mode for so many seconds, or until the next command; raises ValueError for a
        time that is not positive.
        """
        if for_s is not None and for_s <= 0:
            raise ValueError(f"expected a positive number of seconds, was {for_s}")
        self._mode = mode
        self._until_ms = None if for_s is None else now_ms + for_s * 1000
        if mode is Mode.RESTARTING:
            self._on_restart(now_ms)

    # --- what is on ------------------------------------------------------------------

    def at(self, now_ms: int) -> Mode:
        while self._until_ms is not None and now_ms >= self._until_ms:
            ended_ms, restarted = self._until_ms, self._mode is Mode.RESTARTING
            self._mode = AFTER[self._mode]
            self._until_ms = ended_ms + self._terms.post_only_s * 1000 if restarted else None
        return self._mode

    def seconds_left(self, now_ms: int) -> int | None:
        """Whole seconds, rounded up, until the mode that is on ends; None when nothing ends it."""
        self.at(now_ms)
        return None if self._until_ms is None else -(-(self._until_ms - now_ms) // 1000)

    def answer(self, call: Call, now_ms: int) -> Answer | None:
        """What refuses this kind of call now, None when it may pass."""
        mode = self.at(now_ms)
        return None if mode is Mode.NORMAL else ANSWERS[mode][call]

    def refusal(self, call: Call, now_ms: int) -> Response | None:
        """The same as a reply."""
        answer = self.answer(call, now_ms)
        return None if answer is None else self._response(answer, now_ms)

    def _response(self, answer: Answer, now_ms: int) -> Response:
        body: dict[str, object] = {"error": answer.error}
        headers: Headers = ()
        if answer.code:
            body["code"] = answer.code
        if answer.status == RESTART.status and self._terms.restart_retry_after_s:
            headers = (("retry-after", str(self._terms.restart_retry_after_s)),)
        left_s = self.seconds_left(now_ms)
        if answer.tells_wait and left_s is not None:
            body["retry_after_seconds"] = left_s
            headers = (("retry-after", str(left_s)),)
        return json_response(body, answer.status, headers)
