"""The smart wallets of a key, as their factories derive them (CREATE2; onchain.md 5).

A proxy, a Safe and two generations of deposit wallets: their addresses follow from the key alone,
so a wrong `funder` can be told before any money is looked for.
"""

from __future__ import annotations

from polybot.venue.signing import address_word, checksum_address, keccak
from polybot.venue.site import CHAIN, FACTORIES

EOA, PROXY, SAFE, DEPOSIT = range(4)  # signature types (clob.md 3.3)
NAMES = {EOA: "its own key", PROXY: "a proxy", SAFE: "a Safe", DEPOSIT: "a deposit wallet"}

# What the factories deploy, around the addresses and arguments in it. EIP-1167 with an initialiser
# call; then two ERC-1967 proxies with immutable arguments, by implementation and by beacon.
_PROXY = (
    "3d3d606380380380913d393d73{factory}5af4602a57600080fd5b602d8060366000396000f3"
    "363d3d373d3d3d363d73{implementation}5af43d82803e903d91602b57fd5bf3"
    "52e831dd" + "20".zfill(64) + "0" * 64
)
_BY_IMPLEMENTATION = (
    "61{size:04x}3d8160233d3973{implementation}60095155f3363d3d373d3d363d7f360894a13ba1a3210667c828"
    "492db98dca3e2076cc3735a920a3ca505d382bbc545af43d6000803e6038573d6000fd5b3d6000f3"
)
_BY_BEACON = (
    "61{size:04x}3d8160233d3973{beacon}60195155f3363d3d373d3d363d602036600436635c60da1b60e01b36527f"
    "a3f0ad74e5423aebfd80d3ef4346578335a9a72aeaee59ff6cb3582b35133d50545afa5036515af43d6000803e604d"
    "573d6000fd5b3d6000f3"
)
_IMPLEMENTATION_CODE, _BEACON_CODE = 0x3D, 0x52  # bytes of deployed code before the arguments


def wallets(owner: str, signature_type: int, chain_id: int = CHAIN) -> tuple[str, ...]:
    """The addresses a key's orders of a signature type may name as maker, today's first.

    Raises ValueError for an unknown type or what is no address.
    """
    made = FACTORIES[chain_id]
    word = address_word(owner)
    if signature_type == EOA:
        return (checksum_address(word[12:]),)
    if signature_type == PROXY:
        code = _PROXY.format(
            factory=_hex(made.proxy), implementation=_hex(made.proxy_implementation)
        )
        return (_create2(made.proxy, keccak(word[12:]), keccak(bytes.fromhex(code))),)
    if signature_type == SAFE:
        return (_create2(made.safe, keccak(word), bytes.fromhex(_hex(made.safe_code_hash))),)
    if signature_type != DEPOSIT:
        raise ValueError(f"expected a signature type from 0 to 3, was {signature_type}")
    arguments = address_word(made.deposit) + word
    today = _BY_BEACON.format(size=_BEACON_CODE + len(arguments), beacon=_hex(made.deposit_beacon))
    older = _BY_IMPLEMENTATION.format(
        size=_IMPLEMENTATION_CODE + len(arguments), implementation=_hex(made.deposit_implementation)
    )
    return tuple(
        _create2(made.deposit, keccak(arguments), keccak(bytes.fromhex(code) + arguments))
        for code in (today, older)
    )


def _hex(value: str) -> str:
    return value.removeprefix("0x").lower()


def _create2(factory: str, salt: bytes, code_hash: bytes) -> str:
    return checksum_address(keccak(b"\xff" + address_word(factory)[12:] + salt + code_hash)[12:])
