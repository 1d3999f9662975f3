"""`eth_call`: the views that clients read, and trials of everything else (onchain.md 9.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from polybot.exchange import contracts
from polybot.exchange.abi import WORD, Args, BadCalldata, address_word, array, selector, word
from polybot.exchange.approvals import shares_contract
from polybot.exchange.chain import Chain, Outcome
from polybot.exchange.chain_contract import Call
from polybot.exchange.model import Market
from polybot.exchange.positions import payouts

# Balances of neg-risk tokens are read through the old adapter (onchain.md 2.1).
HOLDERS = (contracts.CTF, contracts.POSITION_MANAGER, contracts.NEG_RISK_ADAPTER)
TOKENS = (contracts.COLLATERAL, contracts.USDC_E)
DECIMALS = 6


@attrs.frozen
class Views:
    """Reads of one chain. All of them show the newest block, whichever is asked for."""

    chain: Chain

    def call(self, sender: str, call: Call, now_ms: int) -> bytes | Outcome:
        """What the call returns, or the outcome of a transaction that reverted."""
        view = VIEWS.get((call.target, call.data[:4])) or self._of_wallet(call)
        if view is not None:
            try:
                return view(self, call.target, Args(call.data[4:]))
            except BadCalldata:
                return Outcome(reverted="")
        outcome = self.chain.attempt(sender, [call], now_ms)
        return outcome if outcome.reverted is not None else b""

    def _of_wallet(self, call: Call) -> View | None:
        """A Safe's nonce is read from the wallet itself (onchain.md 7.3)."""
        deployed = call.target in self.chain.deployed
        return Views.nonce if deployed and call.data[:4] == selector("nonce()") else None

    def nonce(self, wallet: str, _args: Args) -> bytes:
        return word(self.chain.nonces.get(wallet, 0))

    def allowance(self, token: str, args: Args) -> bytes:
        approvals = self.chain.engine.accounts.approvals
        return word(approvals.allowance(args.address(0), token, args.address(1)))

    def operates(self, token: str, args: Args) -> bytes:
        approvals = self.chain.engine.accounts.approvals
        return word(bool(approvals.allowance(args.address(0), token, args.address(1))))

    def token_balance(self, token: str, args: Args) -> bytes:
        owner = args.address(0)
        if token == contracts.USDC_E:
            return word(self.chain.usdc_e.get(owner, 0))
        return word(self.chain.engine.settled_cash(owner))

    def decimals(self, _token: str, _args: Args) -> bytes:
        return word(DECIMALS)

    def share_balance(self, contract: str, args: Args) -> bytes:
        return word(self._shares(contract, args.address(0), args.uint(1)))

    def share_balances(self, contract: str, args: Args) -> bytes:
        owners, ids = args.addresses(0), args.uints(1)
        if len(owners) != len(ids):
            raise BadCalldata("owners and ids differ in number")
        balances = [self._shares(contract, o, i) for o, i in zip(owners, ids, strict=True)]
        return word(WORD) + array(balances)

    def _shares(self, contract: str, owner: str, token: int) -> int:
        market = self.chain.engine.by_token.get(str(token))
        if market is None or contract not in self._shown_by(market):
            return 0
        settled = self.chain.engine.settled_shares(owner, str(token))
        return self.chain.shown(owner, str(token), settled)

    def _shown_by(self, market: Market) -> tuple[str, ...]:
        own = shares_contract(market)
        return (own, contracts.NEG_RISK_ADAPTER) if market.neg_risk else (own,)

    def denominator(self, _contract: str, args: Args) -> bytes:
        return word(sum(self._payouts(args.fixed(0, 32))))

    def numerator(self, _contract: str, args: Args) -> bytes:
        vector, outcome = self._payouts(args.fixed(0, 32)), args.uint(1)
        if outcome > 1:
            raise BadCalldata("no such outcome")
        return word(vector[outcome])

    def _payouts(self, condition: bytes) -> tuple[int, int]:
        """Zeros before the resolution, and for a condition that this contract does not know, as all
        of Protocol V2's.
        """
        market = self.chain.engine.markets.get("0x" + condition.hex())
        vector = payouts(market) if market is not None and market.version != "v2" else None
        return vector or (0, 0)

    def payout(self, _contract: str, args: Args) -> bytes:
        """PositionManager.getPayout: what an amount of a position is worth (onchain.md 6.2)."""
        position, amount = args.uint(0), args.uint(1)
        market = self.chain.engine.by_token.get(str(position))
        vector = payouts(market) if market is not None and market.version == "v2" else None
        if market is None or vector is None:
            return word(0)
        return word(amount * vector[market.outcome_of(str(position))] // sum(vector))

    def beacon(self, _factory: str, _args: Args) -> bytes:
        """The factory of deposit wallets makes beacon proxies: what the SDK asks it first."""
        return address_word(contracts.DEPOSIT_BEACON)


View = Callable[[Views, str, Args], bytes]


def _at(places: Sequence[str], views: dict[str, View]) -> dict[tuple[str, bytes], View]:
    return {(place, selector(name)): view for place in places for name, view in views.items()}


VIEWS: dict[tuple[str, bytes], View] = {
    **_at(
        TOKENS,
        {
            "allowance(address,address)": Views.allowance,
            "balanceOf(address)": Views.token_balance,
            "decimals()": Views.decimals,
        },
    ),
    **_at(
        HOLDERS,
        {
            "balanceOf(address,uint256)": Views.share_balance,
            "balanceOfBatch(address[],uint256[])": Views.share_balances,
            "isApprovedForAll(address,address)": Views.operates,
        },
    ),
    **_at(
        (contracts.CTF,),
        {
            "payoutDenominator(bytes32)": Views.denominator,
            "payoutNumerators(bytes32,uint256)": Views.numerator,
        },
    ),
    **_at((contracts.POSITION_MANAGER,), {"getPayout(uint256,uint256)": Views.payout}),
    (contracts.DEPOSIT_FACTORY, bytes.fromhex("49493a4d")): Views.beacon,
}
