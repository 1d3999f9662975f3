"""What to do with shares: merge, redeem, split, or wait and say why (strategy.md 15)."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from polybot.domain.market_books import Holdings
from polybot.domain.units import SHARE
from polybot.execution.inventory import (
    BATCH_MOST,
    DAY_MS,
    FIRST_PAUSE_MS,
    LONGEST_PAUSE_MS,
    MINUTE_MS,
    Capital,
    Claim,
    InventoryParams,
    Operation,
    Place,
    Plan,
    Setbacks,
    SubmitBudget,
    due,
    plan,
)

PARAMS = InventoryParams()
ROOM = 1_000 * SHARE
RICH = Capital(1_000 * SHARE, 900 * SHARE, ROOM)  # five per cent are fifty shares
SHORT = Capital(1_000 * SHARE, 100 * SHARE, ROOM)


def held(up: int, down: int, pending: int = 0) -> Holdings:
    """Whole shares; `pending` of the Up shares are not confirmed."""
    return Holdings(up * SHARE, down * SHARE, (up - pending) * SHARE, down * SHARE)


def place(holdings: Holdings, name: str = "m", **more: object) -> Place:
    return Place(name, holdings, **more)  # type: ignore[arg-type]


def planned(
    *places: Place,
    capital: Capital = RICH,
    busy: frozenset[str] = frozenset(),
    setbacks: Setbacks | None = None,
    obstacle: str | None = None,
    queue: str | None = None,
    batches: bool = True,
    params: InventoryParams = PARAMS,
) -> Plan:
    return plan(
        params, places, capital, busy=busy, setbacks=setbacks or Setbacks(), obstacle=obstacle,
        batches=batches, now_ms=0, queue=queue,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("up", "down", "pending", "capital", "merged"),
    [
        (49, 90, 0, RICH, 0),
        (50, 90, 0, RICH, 50),
        (60, 90, 11, RICH, 0),  # only confirmed pairs count
        (19, 19, 0, Capital(100 * SHARE, 90 * SHARE, ROOM), 0),
        (20, 20, 0, Capital(100 * SHARE, 90 * SHARE, ROOM), 20),
        (5, 9, 0, SHORT, 5),
        (4, 9, 0, SHORT, 0),
        (5, 9, 0, Capital(1_000 * SHARE, 200 * SHARE - 1, ROOM), 5),  # short of a fifth
        (5, 9, 0, Capital(1_000 * SHARE, 200 * SHARE, ROOM), 0),
    ],
)
def test_pairs_are_merged_for_the_capital_they_free(
    up: int, down: int, pending: int, capital: Capital, merged: int
) -> None:
    """From max(20 shares, 5 % of equity) on, or five when cash is short (strategy.md 15)."""
    wanted = due(PARAMS, place(held(up, down, pending)), capital)

    assert wanted == (Operation("merge", "m", merged * SHARE, merged * SHARE) if merged else None)


def asked(up: int, down: int, pledged_up: int, pledged_down: int = 0) -> Place:
    """Confirmed shares, some of which asks may still sell."""
    return place(held(up, down), pledged_up=pledged_up * SHARE, pledged_down=pledged_down * SHARE)


def test_pairs_that_asks_do_not_bind_are_merged() -> None:
    """The surplus is sold while the pairs become dollars: ninety Up, forty of them offered, and
    fifty Down are fifty pairs.
    """
    assert due(PARAMS, asked(90, 50, 40), RICH) == Operation("merge", "m", 50 * SHARE, 50 * SHARE)
    assert due(PARAMS, asked(100, 90, 40), RICH) == Operation("merge", "m", 60 * SHARE, 60 * SHARE)


def test_pairs_that_asks_bind_are_claimed() -> None:
    """Enough together, too few without the asked ones: asks let go first (onchain.md 6.4), and the
    market says what it waits for.
    """
    place = asked(60, 60, 20)
    told = planned(place)

    assert due(PARAMS, place, RICH) == Claim("m", 60 * SHARE)
    assert told.operations == ()
    assert told.claims == (("m", 60 * SHARE),)
    assert "withdrawn" in dict(told.waits)["m"]
    assert due(PARAMS, asked(50, 60, 20), RICH) == Claim("m", 50 * SHARE)
    assert due(PARAMS, asked(49, 60, 20), RICH) is None, "not enough in any case"


def test_what_is_sent_is_claimed_and_nothing_more() -> None:
    """Merges on their way claim their pairs, redemptions none; what cannot be sent claims nothing,
    but for a queue that is soon over.
    """
    merge, won = place(held(60, 70)), place(held(7, 0), "won", up_payout=SHARE, open=False)

    assert planned(merge, won).claims == (("m", 60 * SHARE),)
    assert planned(merge, obstacle="no gas").claims == ()
    assert planned(merge, busy=frozenset({"m"})).claims == ()
    waiting = planned(merge, queue="another transaction")
    assert waiting.operations == ()
    assert waiting.claims == (("m", 60 * SHARE),)


@given(*(st.integers(0, 120) for _ in range(4)))
def test_no_merge_takes_what_an_ask_binds(up: int, down: int, asks_up: int, asks_down: int) -> None:
    """Whatever is held and offered, even more than there is."""
    for one in planned(asked(up, down, asks_up, asks_down)).operations:
        assert one.shares <= max(0, min(up - asks_up, down - asks_down)) * SHARE


@pytest.mark.parametrize(("payout", "paid"), [(SHARE, 30), (0, 10), (SHARE // 2, 20)])
def test_everything_is_redeemed_at_its_payout(payout: int, paid: int) -> None:
    """Winner, loser, and both halves of a void, in one operation (onchain.md 6.1)."""
    wanted = due(PARAMS, place(held(30, 10), up_payout=payout, open=False), RICH)

    assert wanted == Operation("redeem", "m", 40 * SHARE, paid * SHARE)
    assert due(PARAMS, place(held(0, 0), up_payout=payout, open=False), RICH) is None


@pytest.mark.parametrize(
    "unready",
    [place(held(30, 10, 1), up_payout=SHARE), place(held(3, 0), up_payout=SHARE, settled=False)],
)
def test_nothing_is_redeemed_while_a_fill_is_on_its_way(unready: Place) -> None:
    """The contract burns what is there at that moment (onchain.md 6.4)."""
    told = planned(unready)

    assert told.operations == ()
    assert "still on its way" in dict(told.waits)["m"]


def test_inventory_is_split_once_when_configured() -> None:
    """Only into a market nothing has happened in, and only from cash that is free."""
    params = InventoryParams(seed_shares=40)
    fresh = place(held(0, 0), fresh=True, room=ROOM)

    split = Operation("split", "m", 40 * SHARE, -40 * SHARE)
    assert due(params, fresh, RICH) == split
    assert due(params, fresh, Capital(100 * SHARE, 40 * SHARE, ROOM)) == split
    assert due(PARAMS, fresh, RICH) is None
    assert due(params, place(held(0, 0)), RICH) is None
    assert due(params, place(held(0, 0), fresh=True, open=False, room=ROOM), RICH) is None
    assert isinstance(due(params, fresh, Capital(100 * SHARE, 39 * SHARE, ROOM)), str)


@pytest.mark.parametrize(("each", "all_of_them", "split"), [(40, 90, 2), (39, 90, 0), (40, 79, 1)])
def test_no_split_passes_the_limits_on_dollars_at_risk(
    each: int, all_of_them: int, split: int
) -> None:
    """Pairs are no order, and no firewall sees them; what they cost is at risk all the same."""
    fresh = [place(held(0, 0), name, fresh=True, room=each * SHARE) for name in "ab"]
    capital = Capital(1_000 * SHARE, 900 * SHARE, all_of_them * SHARE)
    told = planned(*fresh, params=InventoryParams(seed_shares=40), capital=capital)

    assert [one.kind for one in told.operations] == ["split"] * split
    if each < 40:
        assert "[risk]" in dict(told.waits)["a"]


def test_one_operation_a_market() -> None:
    """A market with an unknown operation is asked nothing, whatever it holds (onchain.md 7.4)."""
    told = planned(place(held(90, 90), "a"), place(held(90, 90), "b"), busy=frozenset({"a"}))

    assert [one.condition_id for one in told.operations] == ["b"]
    assert dict(told.waits) == {"a": "its last operation has no answer yet"}


def test_an_obstacle_stops_everything_and_is_told() -> None:
    """No gas, no quota, an open transaction: the reason stands at every market that waits."""
    told = planned(place(held(90, 90), "a"), place(held(1, 0), "b"), obstacle="no gas")

    assert told == Plan((), (("a", "no gas"),))


def test_what_is_due_goes_together_redemptions_first() -> None:
    """One submission for many markets where the wallet can do that, else one for each."""
    places = [place(held(60 + n, 60 + n), f"m{n}") for n in range(BATCH_MOST + 3)]
    won = place(held(7, 0), "won", up_payout=SHARE, open=False)

    together, single = planned(*places, won), planned(*places, won, batches=False)

    assert len(together.operations) == BATCH_MOST
    assert together.operations[0] == Operation("redeem", "won", 7 * SHARE, 7 * SHARE)
    assert [one.paid for one in together.operations[1:]] == [
        (60 + n) * SHARE for n in range(BATCH_MOST + 2, 3, -1)
    ]
    assert [one.condition_id for one in single.operations] == ["won"]


def test_what_has_failed_goes_alone_and_later() -> None:
    """One bad call reverts its whole batch: it must not take others with it again."""
    setbacks = Setbacks()
    assert setbacks.failed("bad", -FIRST_PAUSE_MS) == 1
    good, bad = place(held(60, 60), "good"), place(held(90, 90), "bad")

    assert [one.condition_id for one in planned(bad, setbacks=setbacks).operations] == ["bad"]
    assert len(planned(good, bad, setbacks=setbacks).operations) == 1
    better = place(held(99, 99), "better")
    chosen = planned(good, bad, better, setbacks=setbacks).operations
    assert [one.condition_id for one in chosen] == ["better", "good"], "not with others after them"
    for count in range(2, 12):
        assert setbacks.failed("bad", 0) == count
    assert dict(planned(bad, setbacks=setbacks).waits) == {"bad": "its last operation failed"}
    assert setbacks.waits("bad", LONGEST_PAUSE_MS - 1)
    assert not setbacks.waits("bad", LONGEST_PAUSE_MS)
    setbacks.cleared("bad")
    assert len(planned(good, bad, setbacks=setbacks).operations) == 2


def test_the_budget_of_submissions() -> None:
    """So many a minute, so many a day of UTC, none while the venue wants none (onchain.md 7.4)."""
    budget = SubmitBudget(2, 3)
    for at_ms in (0, 1):
        assert budget.obstacle(at_ms) is None
        budget.spend(at_ms)
    assert "within a minute" in (budget.obstacle(2) or "")
    assert budget.obstacle(MINUTE_MS) is None
    budget.spend(MINUTE_MS)
    assert "midnight" in (budget.obstacle(10 * MINUTE_MS) or "")
    assert budget.obstacle(DAY_MS) is None
    budget.pause(DAY_MS + 5_000, "quota exceeded")
    budget.pause(DAY_MS + 1_000, "quota exceeded")
    assert budget.obstacle(DAY_MS + 4_999) == "quota exceeded"
    assert budget.obstacle(DAY_MS + 5_000) is None


def test_a_clock_that_was_far_ahead_holds_no_submission() -> None:
    """What it had stamped was younger than a minute until the time came round again: nothing was
    merged or redeemed for as long as it had been ahead.
    """
    budget = SubmitBudget(2, 100)
    for n in range(2):
        budget.spend(60 * MINUTE_MS + n)

    assert budget.obstacle(MINUTE_MS) is None
    budget.spend(MINUTE_MS)
    budget.spend(MINUTE_MS)
    assert "within a minute" in (budget.obstacle(MINUTE_MS) or "")


def test_a_clock_that_is_set_back_over_midnight_has_that_days_submissions() -> None:
    """They were forgotten at the first look of the next day: the day's quota could be spent twice.
    """
    budget = SubmitBudget(10, 2)
    for _ in range(2):
        budget.spend(DAY_MS - 1_000)

    assert budget.obstacle(DAY_MS) is None
    assert "midnight" in (budget.obstacle(DAY_MS - 500) or "")


def test_a_clock_that_was_far_ahead_holds_no_pause() -> None:
    """A wait that the venue had asked for, and one after a failure, lasted for as long as the clock
    had been ahead: nothing was merged or redeemed.
    """
    budget, setbacks = SubmitBudget(2, 100), Setbacks()
    budget.pause(9 * DAY_MS + MINUTE_MS, "quota exceeded")
    setbacks.failed("bad", 9 * DAY_MS)

    assert budget.obstacle(DAY_MS) is None
    assert not setbacks.waits("bad", DAY_MS)


@pytest.mark.parametrize(("free", "splits"), [(39, 0), (79, 1), (80, 2)])
def test_splits_of_one_batch_share_the_cash(free: int, splits: int) -> None:
    """Each by itself has enough; a merge needs none, and goes with them."""
    params = InventoryParams(seed_shares=40)
    fresh = [place(held(0, 0), name, fresh=True, room=ROOM) for name in "ab"]
    capital = Capital(1_000 * SHARE, free * SHARE, ROOM)
    told = planned(*fresh, place(held(90, 90)), capital=capital, params=params)

    assert [one.kind for one in told.operations] == ["merge", *["split"] * splits]


@given(
    st.lists(
        st.tuples(st.integers(0, 200), st.integers(0, 200), st.sampled_from([None, 0, SHARE]))
    ),
    st.integers(0, 1_000),
    st.integers(0, 1_000),
    st.integers(0, 100),
    st.booleans(),
)
def test_no_plan_spends_what_is_not_there(
    rows: list[tuple[int, int, int | None]], free: int, room: int, seed: int, batches: bool
) -> None:
    """Splits exceed neither free cash nor what may be at risk, merges never what is confirmed; one
    operation a market.
    """
    params = InventoryParams(seed_shares=seed)
    places = [
        place(held(up, down), str(n), up_payout=payout, fresh=up == down == 0, room=ROOM)
        for n, (up, down, payout) in enumerate(rows)
    ]
    capital = Capital(1_000 * SHARE, free * SHARE, room * SHARE)
    told = planned(*places, params=params, capital=capital, batches=batches)

    names = [one.condition_id for one in told.operations]
    assert len(set(names)) == len(names) <= (BATCH_MOST if batches else 1)
    split = sum(one.shares for one in told.operations if one.kind == "split")
    assert split <= min(free, room) * SHARE
    for one in told.operations:
        if one.kind == "merge":
            assert one.shares <= places[int(one.condition_id)].held.mergeable


def test_a_restart_goes_on_counting() -> None:
    """What the journal knows of yesterday and today is counted where it belongs (7.4)."""
    now_ms = 20_000 * DAY_MS + 7 * MINUTE_MS
    budget = SubmitBudget(per_minute=3, per_day=5)
    for at_ms in (now_ms - DAY_MS + 1, now_ms - 5 * MINUTE_MS, now_ms - 30_000, now_ms - 1):
        budget.spend(at_ms)
    assert budget.obstacle(now_ms) is None
    budget.spend(now_ms)
    assert "today" not in (budget.obstacle(now_ms) or ""), "yesterday's is not today's"
    assert "within a minute" in (budget.obstacle(now_ms) or "")
    budget.spend(now_ms + MINUTE_MS)
    assert "before midnight" in (budget.obstacle(now_ms + 2 * MINUTE_MS) or "")
