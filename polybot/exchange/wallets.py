"""The four wallets of a key, as the factories derive them (CREATE2; onchain.md 5).

An order's `maker` is one of these; its `signatureType` says which kind. The addresses are functions
of the key alone, so the exchange needs no list of who owns what.
"""

from __future__ import annotations

import enum
import functools

import attrs

from polybot.exchange import contracts
from polybot.exchange.eip712 import checksum, keccak


class WalletKind(enum.IntEnum):
    """The values of `signatureType` (clob.md 3.3)."""

    EOA = 0
    PROXY = 1
    SAFE = 2
    DEPOSIT = 3


@attrs.frozen
class Wallets:
    """Every address one key can trade from, in checksum form."""

    eoa: str
    proxy: str
    safe: str
    deposit: str  # the current beacon proxy
    deposit_uups: str  # the older derivation, still in use where it was deployed

    def of(self, kind: WalletKind) -> tuple[str, ...]:
        """The addresses that an order of this signature type may name as its maker."""
        return {
            WalletKind.EOA: (self.eoa,),
            WalletKind.PROXY: (self.proxy,),
            WalletKind.SAFE: (self.safe,),
            WalletKind.DEPOSIT: (self.deposit, self.deposit_uups),
        }[kind]

    def all(self) -> tuple[str, ...]:
        return self.eoa, self.proxy, self.safe, self.deposit, self.deposit_uups


@functools.lru_cache(maxsize=4096)
def wallets_of(eoa: str) -> Wallets:
    """The wallets of a key, by its EOA in checksum form."""
    owner = _raw(eoa)
    deposit_args = _raw(contracts.DEPOSIT_FACTORY).rjust(32, b"\0") + owner.rjust(32, b"\0")
    salt = keccak(deposit_args)
    factory = contracts.DEPOSIT_FACTORY
    return Wallets(
        eoa=eoa,
        proxy=_create2(contracts.PROXY_FACTORY, keccak(owner), keccak(_proxy_code())),
        safe=_create2(
            contracts.SAFE_FACTORY,
            keccak(owner.rjust(32, b"\0")),
            bytes.fromhex(contracts.SAFE_INIT_CODE_HASH),
        ),
        deposit=_create2(factory, salt, keccak(_beacon_code(deposit_args))),
        deposit_uups=_create2(factory, salt, keccak(_uups_code(deposit_args))),
    )


def _raw(address: str) -> bytes:
    return bytes.fromhex(address[2:])


def _create2(factory: str, salt: bytes, code_hash: bytes) -> str:
    return checksum(keccak(b"\xff" + _raw(factory) + salt + code_hash)[12:])


# The creation codes are what the factories deploy; only the addresses and arguments in them vary.


def _proxy_code() -> bytes:
    """A minimal clone with an initialiser call, of the old proxy factory."""
    factory, target = contracts.PROXY_FACTORY[2:], contracts.PROXY_IMPLEMENTATION[2:]
    return bytes.fromhex(
        f"3d3d606380380380913d393d73{factory}5af4602a57600080fd5b602d8060366000396000f3"
        f"363d3d373d3d3d363d73{target}5af43d82803e903d91602b57fd5bf352e831dd{32:064x}{0:064x}"
    )


def _uups_code(args: bytes) -> bytes:
    """An ERC-1967 proxy with immutable arguments, whose length stands in its first push."""
    head = 0x61003D3D8160233D3973 + (len(args) << 56)
    return (
        head.to_bytes(10, "big")
        + _raw(contracts.DEPOSIT_IMPLEMENTATION)
        + bytes.fromhex("6009")
        + bytes.fromhex("5155f3363d3d373d3d363d7f360894a13ba1a3210667c828492db98dca3e2076")
        + bytes.fromhex("cc3735a920a3ca505d382bbc545af43d6000803e6038573d6000fd5b3d6000f3")
        + args
    )


def _beacon_code(args: bytes) -> bytes:
    """An ERC-1967 beacon proxy with immutable arguments."""
    head = 0x6100523D8160233D3973 + (len(args) << 56)
    return (
        head.to_bytes(10, "big")
        + _raw(contracts.DEPOSIT_BEACON)
        + bytes.fromhex("60195155f3363d3d373d3d363d602036600436635c60da")
        + bytes.fromhex("1b60e01b36527fa3f0ad74e5423aebfd80d3ef4346578335a9a72aeaee59ff6c")
        + bytes.fromhex("b3582b35133d50545afa5036515af43d6000803e604d573d6000fd5b3d6000f3")
        + args
    )
