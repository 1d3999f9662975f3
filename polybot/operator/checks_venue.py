"""The doctor's checks of the venue: who we are there, what we may, what we have, what is traded."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import trio

from polybot.domain.market import Market
from polybot.domain.orders import Failure
from polybot.domain.units import SHARE, USD, amount_text, price_text
from polybot.journal.lock_file import holder
from polybot.operator.findings import Check, Finding, failed, ok, passing, warning
from polybot.operator.patient import Patient
from polybot.purse import NO_KEY
from polybot.quoting.asks import NEVER
from polybot.venue import permissions
from polybot.venue.chain import Chain
from polybot.venue.clob import StaleHeartbeat
from polybot.venue.clob_reads import ClobReads
from polybot.venue.permissions import Approval
from polybot.venue.relayer import GAS_LEAST, POL
from polybot.venue.site import CHAIN, CONTRACTS, exchange_of

NODE = "name a Polygon node of your own in PM_RPC, in the environment or the secrets file"
UNREAD = "the venue or the way to it fails: try again, look at status.polymarket.com"
CLOCK_LOOKS = 5
CLOCK_PAUSE_S = 0.2
CLOCK_GOOD_S, CLOCK_MOST_S = 1.0, 2.0  # the bot halts at 2 s (reconciler.py)


async def credentials(patient: Patient) -> Finding:
    """The API key signs a private read (clob.md 2.1)."""
    keys = await permissions.api_keys(patient.client)
    if isinstance(keys, Failure) and keys.refused:
        # Each request is signed with the time, and after a boot that is set at any moment.
        if (ours := await clock(patient)).passing:
            return passing(f"{keys.what}, and the clock is off", ours.remedy)
        keys = await permissions.api_keys(patient.client)
    if isinstance(keys, Failure) and not keys.refused:
        return passing(keys.what, UNREAD)
    if isinstance(keys, Failure):
        return failed(keys.what, "delete PM_API_KEY and its two companions to have them derived")
    if patient.credentials.api_key not in keys:
        return failed("the venue does not list our API key", "derive the API key anew")
    return ok(f"API key {patient.credentials.api_key[:8]}… holds")


async def closed_only(patient: Patient) -> Finding:
    flag = await permissions.closed_only(patient.client)
    if isinstance(flag, Failure):
        return passing(flag.what, UNREAD)
    if flag:
        return failed(
            "the account may only reduce positions", "ask Polymarket's support: nothing here helps"
        )
    return ok("the account may open positions")


async def geoblock(patient: Patient) -> Finding:
    """A hard check: an order from a blocked place breaks the venue's terms (clob.md 7.3)."""
    place = await permissions.place(patient.rest(patient.site.site))
    if isinstance(place, Failure):
        return passing(place.what, UNREAD)
    where = f"{place.country or 'an unknown country'} {place.region}".rstrip()
    if place.blocked:
        return failed(f"trading is not allowed from {where}", "do not trade from here")
    return ok(f"trading is allowed from {where}")


async def clock(patient: Patient) -> Finding:
    return await clock_of(patient.client)


async def clock_of(client: ClobReads) -> Finding:
    """Ours less the venue's, the median of several looks; `/time` tells whole seconds."""
    offsets: list[float] = []
    for _ in range(CLOCK_LOOKS):
        asked_ms = client.rest.clock.now_ms()
        venue_s = await client.server_time()
        if isinstance(venue_s, Failure):
            return passing(venue_s.what, UNREAD)
        ours_s = (asked_ms + client.rest.clock.now_ms()) / 2000
        offsets.append(ours_s - (venue_s + 0.5))
        await trio.sleep(CLOCK_PAUSE_S)
    offset = statistics.median(offsets)
    found = f"{offset:+.1f} s against the venue's, ± 0.5 s"
    remedy = "run a time service (chrony, systemd-timesyncd)"
    if abs(offset) > CLOCK_MOST_S:
        return passing(found, remedy)  # after a boot its time service may need a minute
    return ok(found) if abs(offset) <= CLOCK_GOOD_S else warning(found, remedy)


async def windows(patient: Patient) -> Finding:
    """Gamma and the CLOB agree about the current window of every series, and its rule is known."""
    found = await patient.windows()
    bad = {series: why for series, why in found.items() if isinstance(why, str)}
    if bad:
        series, why = next(iter(bad.items()))
        return failed(
            f"{len(bad)} of {len(found)} series: {series}: {why}",
            "leave the series out, or look for a new version of polybot: rules change",
        )
    return ok("; ".join(f"{s}: {_terms(m)}" for s, m in found.items() if isinstance(m, Market)))


def _terms(market: Market) -> str:
    fees = market.fees
    rate, back = (f"{ppm / 10_000:g} %" for ppm in (fees.rate_ppm, fees.rebate_ppm))
    fee = f"fee {rate}, {back} of it to makers" if fees.rate_ppm else "free"
    rule = type(market.rule).__name__
    tick, least = price_text(market.tick), amount_text(market.min_size)
    return f"{rule}, tick {tick}, from {least} shares, {fee}, {market.version}"


async def sizes(patient: Patient) -> Finding:
    """Cash against what quoting takes, and the configured clip against what the venue takes."""
    cash = await patient.client.balance(None)
    if isinstance(cash, Failure):
        return passing(cash.what, UNREAD)
    markets = await patient.markets()
    clip = round(patient.config.quote.size_shares * SHARE)
    least = max((market.min_size for market in markets), default=0)
    if clip < least:
        found = f"quote.size_shares is below the venue's minimum of {amount_text(least)}"
        return failed(found, "raise quote.size_shares: nothing would be quoted")
    risk = patient.config.risk
    if min(risk.max_order_shares * SHARE, risk.max_order_usd * USD) < least:
        return failed("[risk] lets no order of the minimum size through", "raise its order limits")
    pair = least * USD // SHARE  # both outcomes of the minimum size cost about a dollar a share
    if cash < pair:
        found = f"{amount_text(cash)} pUSD, a pair of the minimum size costs {amount_text(pair)}"
        if patient.holds:
            return warning(found, "shares are sold, merged and redeemed before anything is bought")
        return failed(found, f"deposit pUSD to {patient.funder}")
    if (lossy := _may_lose(cash, pair // 2, risk.max_market_loss_percent)) and not patient.holds:
        return lossy
    wanted = clip * USD // SHARE * patient.config.quote.levels * max(1, len(markets))
    if cash < wanted:
        found = f"{amount_text(cash)} pUSD, quoting everything takes {amount_text(wanted)}"
        return warning(found, "deposit more, quote fewer series, or smaller")
    return ok(f"{amount_text(cash)} pUSD; quoting everything takes {amount_text(wanted)}")


def _may_lose(cash: int, bid: int, percent: int) -> Finding | None:
    """Whether the smallest bid at even odds, which costs that much, may lose more of such a wallet
    than one market may: the limit would withhold it, and smaller quotes are none.
    """
    most = cash * percent // 100
    if bid <= most:
        return None
    enough = -(-bid * 100 // percent // USD)
    return warning(
        f"of {amount_text(cash)} pUSD a market may lose {amount_text(most)}, and the least bid at "
        f"50 cents {amount_text(bid)}",
        f"only what costs up to {50 * most // bid} cents is bid for: deposit up to {enough} pUSD, "
        "or raise risk.max_market_loss_percent",
    )


async def allowances(patient: Patient) -> Finding:
    """The exchange of every traded market may take our pUSD (clob.md 5.1), and shares where they
    are to be sold: each ask would be refused, and stand in the place of a bid.
    """
    cash = await patient.client.balance(None)
    dollars = await permissions.allowances(patient.client, None)
    for answer in (cash, dollars):
        if isinstance(answer, Failure):
            return passing(answer.what, UNREAD)
    assert isinstance(cash, int)
    assert isinstance(dollars, dict)
    remedy = "grant the standard approvals: on Polymarket's site, or setup_trading_approvals()"
    for market in await patient.markets():
        spender = exchange_of(market)
        allowed = dollars.get(spender.lower(), 0)
        if allowed == 0:
            return failed(f"{market.series}: {spender} may not take our pUSD", remedy)
        if allowed < cash:
            return warning(f"{spender} may take only {amount_text(allowed)} pUSD of ours", remedy)
        shares = await permissions.allowances(patient.client, market.up_token)
        if isinstance(shares, Failure):
            return passing(shares.what, UNREAD)
        if not shares.get(spender.lower()):
            found = f"{market.series}: {spender} may not take shares: no sales"
            if patient.config.quote.sell_held == NEVER:
                return warning(found, remedy)
            return failed(found, f'{remedy}; or set quote.sell_held = "{NEVER}"')
    return ok("the exchanges of the traded series may take pUSD and shares")


async def node(patient: Patient) -> Finding:
    """The chain is the last word on money: without a node no result is known, and nothing won is
    redeemed.
    """
    chain = await Chain(patient.rest(patient.site.rpc), patient.funder).chain_id()
    if isinstance(chain, Failure):
        return passing(chain.what, NODE)
    if chain != CHAIN:
        return failed(f"the node is of chain {chain}, not of {CHAIN}", NODE)
    return ok(f"answers for chain {chain}")


async def contract(patient: Patient) -> Finding:
    """A proxy, Safe or deposit wallet has its address before it has its code. Until that is there
    nothing signs for what was paid in, and no approval can be granted (onchain.md 4, 5).
    """
    if not patient.signature_type:
        return ok("a plain key's wallet, which needs none")
    there = await Chain(patient.rest(patient.site.rpc), patient.funder).deployed()
    if isinstance(there, Failure):
        return passing(there.what, NODE)
    if not there:
        return failed(
            f"{patient.funder} has no code on the chain: the wallet is not deployed",
            "sign in on Polymarket's site with its key, which deploys it, and grant the approvals",
        )
    return ok(f"{patient.funder} is deployed")


async def way(patient: Patient) -> Finding:
    """Pairs become dollars, and what has won is paid, by the relayer; or, for a plain wallet, by
    transactions of its own, and those want gas (onchain.md 7, 8).
    """
    if patient.signature_type:
        keys = patient.config.keys
        if keys is not None and keys.relayer_key is None:
            return warning(NO_KEY, "make a key for the relayer, and set PM_RELAYER_API_KEY")
        return ok("by the relayer, who pays for it")
    gas = await Chain(patient.rest(patient.site.rpc), patient.funder).gas()
    if isinstance(gas, Failure):
        return warning(gas.what, NODE)
    found = f"by transactions of our own, with {gas / POL:.3f} POL"
    if gas < GAS_LEAST:
        remedy = f"send POL to {patient.funder}: pairs are not merged and winnings not redeemed"
        return warning(found, remedy)
    return ok(found)


async def operators(patient: Patient) -> Finding:
    """What merges and redeems for us may do so, by the chain itself (onchain.md 4)."""
    markets = await patient.markets()
    questions = list(dict.fromkeys(q for m in markets for q in _needed(m, patient.funder)))
    answers = await permissions.approvals(patient.rest(patient.site.rpc), questions)
    if isinstance(answers, Failure):
        return warning(answers.what, NODE)
    missing = [q.spender for q, answer in zip(questions, answers, strict=True) if not answer]
    if missing:
        return warning(
            f"{', '.join(dict.fromkeys(missing))} may not move our tokens",
            "grant the standard approvals: pairs are not merged and winnings not redeemed",
        )
    return ok(f"{len(questions)} approvals for merges and redemptions, by the chain")


def _needed(market: Market, owner: str) -> Sequence[Approval]:
    contracts = CONTRACTS[CHAIN]
    if market.version == "v2":
        shares, mover = contracts.position_manager, contracts.router
    else:
        shares = contracts.conditional_tokens
        mover = contracts.neg_risk_ctf_adapter if market.neg_risk else contracts.ctf_adapter
    return (
        Approval(contracts.collateral, owner, mover, shares=False),
        Approval(shares, owner, mover, shares=True),
    )


async def open_orders(patient: Patient) -> Finding:
    """Nothing should rest before a start; a start cancels it."""
    rows = await patient.client.open_orders()
    if isinstance(rows, Failure):
        return passing(rows.what, UNREAD)
    if not rows:
        return ok("none")
    engine = patient.journal is not None and holder(patient.journal) is not None
    if engine:
        return ok(f"{len(rows)}, of the engine that is running")
    return warning(f"{len(rows)} rest and no engine runs", "`python -m polybot stop --now`")


async def heartbeat(patient: Patient) -> Finding:
    """The dead-man switch takes a beat; it then lapses, which cancels nothing, for nothing rests
    (clob.md 4.2). There is no disarming it, so it is left alone where anything does.
    """
    rows = await patient.client.open_orders()
    if isinstance(rows, Failure):
        return passing(rows.what, UNREAD)
    if rows:
        return warning(
            f"not tried: {len(rows)} orders rest, and it would cancel them", "stop first"
        )
    answer = await patient.client.heartbeat("")
    if isinstance(answer, StaleHeartbeat):
        answer = await patient.client.heartbeat(answer.expected)
    if isinstance(answer, str):
        return ok("a beat was accepted, and is left to lapse with nothing resting")
    said = answer.what if isinstance(answer, Failure) else "its id was refused twice"
    return failed(said, "without a dead-man switch orders outlive us: do not trade")


CHECKS = (
    Check("API credentials", credentials, preflight=True),
    Check("closed-only flag", closed_only, preflight=True),
    Check("geoblock", geoblock, preflight=True),
    Check("clock", clock, preflight=True),
    Check("windows", windows),
    Check("cash and sizes", sizes, preflight=True),
    Check("allowances", allowances, preflight=True),
    Check("Polygon node", node, preflight=True),
    Check("wallet contract", contract, preflight=True),
    Check("way onto the chain", way),
    Check("chain approvals", operators),
    Check("open orders", open_orders),
    Check("heartbeat", heartbeat),
)
