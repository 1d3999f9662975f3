"""Whose tape is whose, where a life that was killed still runs to its end."""

from __future__ import annotations

from polybot.journal.tape import Kind
from polybot.lab.simulation_trace import LifeTrace, Trace


def told(life: LifeTrace, name: str) -> None:
    """One event of each kind."""
    life.heard("rest clob", name.encode(), 1)
    life.sent("rest clob", name.encode())
    life.fed(name.encode(), 2)
    life.decided("orders x", name.encode(), 3)


async def test_a_killed_life_is_on_no_tape() -> None:
    """Its last cancel was answered "no answer" in the next life, which had asked for none, and a
    replay of that decided otherwise than the run (brief seed 20480).
    """
    whole, decisions = Trace(), list[bytes]()
    whole.on_decided = lambda _stream, body: decisions.append(body)
    files = [LifeTrace(Trace(), tape=[]) for _ in range(2)]
    first, second = (LifeTrace(whole, file, []) for file in files)
    told(first, "first")
    before = whole.digest
    first.on = False
    told(first, "ghost")
    assert (whole.digest, decisions) == (before, [b"first"])

    told(second, "second")
    assert second.tape is not None
    assert [(one.kind, one.body) for one in second.tape] == [
        (Kind.HEARD, b"second"), (Kind.FED, b"second"), (Kind.DECIDED, b"second"),
    ]  # fmt: skip
    assert first.tape is not None
    assert {one.body for one in first.tape} == {b"first"}
    assert [one.tape for one in files] == [first.tape, second.tape]
    assert whole.digest != before
