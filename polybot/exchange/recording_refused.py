"""Data sets that are no world, each with what it is good for: a refusal that helps.

* `one_wallet_fills.csv*` (AliHakanVesca/xx8-btc-5min-YesNo, no licence stated): 2,077 purchases of
  one public wallet. Without books around them nothing could trade.
* `clob_book.json` and its neighbours (hugompt/polymarket-microstructure-lab, MIT): single answers
  of Gamma, CLOB and Data API. One book at one instant has no time in it.
* `frames-*.jsonl` (a design note of the polyoxide project, licence not verified): seven RTDS frames
  of four price topics, two of them snapshots cut to three points.
"""

from __future__ import annotations

from pathlib import Path

_NO_WORLD = (
    ("one_wallet_fills", "fills of one wallet without the books around them",
     "compare a strategy's fills with them, and replay the market-ws file beside it"),
    ("clob_book", "single answers of REST services", "test parsers with them"),
    ("data_trades", "single answers of REST services", "test parsers with them"),
    ("gamma_", "single answers of REST services", "test parsers with them"),
    ("clob_prices_history", "single answers of REST services", "test parsers with them"),
    ("frames-", "a handful of RTDS frames", "test parsers with them"),
)  # fmt: skip


def refusal(files: list[Path]) -> str | None:
    """Why these files are no market, if they are of a known kind."""
    for file in files:
        for start, what, use in _NO_WORLD:
            if file.name.startswith(start):
                return (
                    f"{file} is no market but {what}: {use}; choose another recording to trade on"
                )
    return None
