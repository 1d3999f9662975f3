"""The faults of the REST links: lost, late, wrong and lying answers."""

from __future__ import annotations

from polybot.exchange.faults.kinds import (
    CANCELLING,
    DONE,
    PLACING,
    REST,
    Kind,
    Param,
    When,
    millis,
)

CLOB, GAMMA = ("clob",), ("gamma",)
ORDER_ROUTES = PLACING + CANCELLING
LISTS = ("GET /data/orders", "GET /data/trades")
BATCH = ("POST /orders",)
BY_ID = ("DELETE /order", "DELETE /orders")
_SILENT = millis("silence_ms", 20_000, 30_000, most=110_000)
_COUNT = Param("count", "entries", 1, 15, (1, 2))

TRANSPORT = (
    Kind("request_lost", "nothing is done and nothing answered, then the connection ends",
         "F17 F21 F33", REST, params=(_SILENT,)),
    Kind("reply_lost", "it is done, and nobody hears of it", "F16 F21 F33", REST,
         params=(_SILENT,)),
    Kind("request_delayed", "it waits at the edge and is then done", "F18 F41", REST,
         params=(millis("delay_ms", 200, 8_000),)),
    Kind("reply_delayed", "it is done at once and answered late", "F15", REST,
         params=(millis("delay_ms", 200, 4_000),)),
    Kind("cut", "the connection ends in place of an answer", "F16 F17 F71", REST, params=(DONE,)),
    Kind("html_page", "a gateway's page instead of JSON", "F23 F44", REST, params=(
        DONE, Param("status", "HTTP status", 200, 599, among=(200, 500, 502, 503, 520)),
    )),
    Kind("empty_body", "200 with nothing in it", "F44", REST, params=(DONE,)),
    Kind("truncated_json", "the answer breaks off in the middle", "F44", REST),
    Kind("wrong_status", "an error of this status in JSON", "F23 F44", REST, params=(
        DONE, Param("status", "HTTP status", 400, 599, among=(400, 408, 500, 502, 504)),
    )),
    Kind("unknown_wording", "400 with words nobody has seen before", "F44", REST, params=(DONE,)),
    Kind("stale_reply", "a read is answered as it was when the window began", "F34 F48", REST,
         match=("GET",)),
)  # fmt: skip

CONDUCT = (
    Kind("throttled", "429 with Retry-After", "F41", REST, params=(
        Param("retry_s", "seconds", 1, 60, (1, 5)),)),
    Kind("unauthorized", "401: the credentials are revoked", "F42", CLOB, When.WINDOW,
         lasting=True),
    Kind("geoblocked", "403: trading is restricted in this region", "F43", CLOB, When.WINDOW,
         match=ORDER_ROUTES, lasting=True),
    Kind("no_balance", "400: not enough balance, as from a stale cache", "F34", CLOB,
         match=PLACING),
    Kind("server_time_skewed", "GET /time is off", "F49", CLOB, When.WINDOW, match=("GET /time",),
         params=(Param("skew_s", "seconds, negative for the past", -3600, 3600, (-5, 5)),)),
)  # fmt: skip

LIES = (
    Kind("cancel_not_found", "a cancel is answered `not found`", "F19", CLOB, match=BY_ID,
         params=(DONE,)),
    Kind("cancel_ignored", "a cancel is acknowledged and not carried out", "F21", CLOB,
         match=CANCELLING),
    Kind("cancel_acked_when_matched", "a matched order's cancel is acknowledged all the same",
         "F20", CLOB, match=BY_ID),
    Kind("batch_short", "the reply to a batch lacks its last entries", "F22", CLOB, match=BATCH,
         params=(_COUNT,)),
    Kind("batch_ids_empty", "accepted entries of a batch come without id", "F22", CLOB, match=BATCH,
         params=(_COUNT,)),
    Kind("batch_shuffled", "the reply to a batch is in another order", "F22", CLOB, match=BATCH),
    Kind("orders_lag", "the order list lacks what is younger than this", "F48", CLOB,
         match=("GET /data/orders",), params=(millis("lag_ms", 500, 5_000),)),
    Kind("trades_lag", "the list of trades lacks what was matched later than this", "F29 F48", CLOB,
         match=("GET /data/trades",), params=(millis("lag_ms", 500, 8_000),), apart=True),
    Kind("page_loop", "the cursor leads to the same page again", "F47", CLOB, match=LISTS),
    Kind("rows_twice", "rows of a page come twice", "F47", CLOB, match=LISTS, params=(_COUNT,)),
    Kind("cancelled_says_matched", "a partly filled, cancelled order reads MATCHED", "F25", CLOB,
         match=("GET /data/order", "GET /data/orders")),
)  # fmt: skip

METADATA = (
    Kind("market_missing", "Gamma does not know the markets yet", "F52", GAMMA, When.WINDOW),
    Kind("tokens_empty", "clobTokenIds is there and empty", "F52", GAMMA),
    Kind("tokens_swapped", "clobTokenIds in the other order than the outcomes", "F53", GAMMA),
    Kind("outcomes_swapped", "outcomes and clobTokenIds both turned round", "F53", GAMMA),
    Kind("stops_accepting", "acceptingOrders is false before the end", "F51", GAMMA, When.WINDOW),
    Kind("rule_changed", "another resolution source and averaging window", "F55", GAMMA,
         When.WINDOW, params=(
             Param("lookback_s", "seconds of the average", 1, 3600, among=(1, 30, 120)),)),
    Kind("fees_missing", "no fee schedule in the metadata", "F56", GAMMA, When.WINDOW),
    Kind("fees_changed", "another fee rate in the metadata", "F56", GAMMA, When.WINDOW,
         params=(Param("rate_ppm", "millionths", 0, 1_000_000, (10_000, 250_000)),)),
    Kind("strike_absent", "priceToBeat does not come", "F57", GAMMA, When.WINDOW),
    Kind("strike_corrected", "priceToBeat is another than before", "F57", GAMMA, When.WINDOW,
         params=(Param("shift_bp", "basis points", -1_000, 1_000, among=(-5, -1, 1, 5)),)),
    Kind("winner_contradicted", "Gamma shows the other outcome as the winner", "F37", GAMMA,
         When.WINDOW),
    Kind("resolution_hidden", "Gamma does not show the resolution yet", "F36", GAMMA, When.WINDOW),
)  # fmt: skip

KINDS = TRANSPORT + CONDUCT + LIES + METADATA
