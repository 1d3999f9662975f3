"""The ABI's corners, held against the official encoder and decoder."""

from __future__ import annotations

import pytest
from eth_abi.abi import encode as abi_encode
from hypothesis import given, strategies as st

from polybot.exchange.abi import Args, BadCalldata, array, blob, revert_data, selector, word
from polybot.exchange.eip712 import checksum

ADDRESSES = st.binary(min_size=20, max_size=20).map(checksum)
UINTS = st.integers(0, 2**256 - 1)


@given(UINTS, ADDRESSES, st.booleans(), st.binary(max_size=200), st.lists(UINTS, max_size=9))
def test_arguments_are_read_as_they_were_written(
    number: int, address: str, flag: bool, data: bytes, numbers: list[int]
) -> None:
    """Static and dynamic ones in one call (onchain.md 6.1, 9.2)."""
    types = ["uint256", "address", "bool", "bytes", "uint256[]", "bytes31"]
    args = Args(abi_encode(types, [number, address, flag, data, numbers, b"\7" * 31]))

    assert (args.uint(0), args.address(1), args.flag(2)) == (number, address, flag)
    assert (args.blob(3), args.uints(4), args.fixed(5, 31)) == (data, numbers, b"\7" * 31)


@given(st.lists(st.tuples(ADDRESSES, UINTS, st.binary(max_size=70)), max_size=5))
def test_lists_of_calls_are_read(calls: list[tuple[str, int, bytes]]) -> None:
    """The proxy's list of tuples with a dynamic end (onchain.md 9.2)."""
    rows = [(1, target, value, data) for target, value, data in calls]
    args = Args(abi_encode(["(uint8,address,uint256,bytes)[]"], [rows]))

    read = [(a.uint(0), a.address(1), a.uint(2), a.blob(3)) for a in args.tuples(0)]

    assert read == rows


@given(st.binary(max_size=300), st.integers(0, 4))
def test_nonsense_is_bad_calldata_and_nothing_else(data: bytes, place: int) -> None:
    """Whatever comes: a value, or the one error a contract turns into a revert (onchain.md 9.4)."""
    args = Args(data)
    for read in (args.uint, args.address, args.flag, args.blob, args.uints, args.addresses):
        try:
            read(place)
        except BadCalldata:
            continue


def test_huge_lengths_are_refused_at_once() -> None:
    """A length of 2²⁵⁵ must not be waited for (onchain.md 9.4)."""
    data = word(32) + word(2**255)
    for read in (Args(data).uints, Args(data).blob, Args(data).tuples):
        with pytest.raises(BadCalldata):
            read(0)


@given(st.lists(UINTS, max_size=6), st.binary(max_size=100))
def test_what_is_written_is_what_the_official_library_writes(
    numbers: list[int], data: bytes
) -> None:
    """(onchain.md 9.2)."""
    assert word(32) + array(numbers) == abi_encode(["uint256[]"], [numbers])
    assert word(32) + blob(data) == abi_encode(["bytes"], [data])


def test_a_reason_is_an_error_string() -> None:
    """What nodes decode a revert from; without a reason there is no data (onchain.md 9.2)."""
    assert selector("Error(string)").hex() == "08c379a0"
    assert revert_data("no") == bytes.fromhex("08c379a0") + abi_encode(["string"], ["no"])
    assert revert_data("") == b""
