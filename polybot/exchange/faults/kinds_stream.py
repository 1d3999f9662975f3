"""The faults of the streams: lost, late, wrong and lying frames, and ends of connections."""

from __future__ import annotations

from polybot.exchange.faults.kinds import STREAMS, Kind, Param, When, millis

MARKET, USER, PRICES = ("market_ws",), ("user_ws",), ("prices_ws", "rtds_ws")
FEEDS = ("prices_ws", "rtds_ws", "binance_ws")
EVENTS_KEPT = 100  # of each API key, for `events_again`
BOOKS = ("price_change", "bids")

CONNECTION = (
    Kind("stall", "no more data, while pings are still answered", "F01 F58", STREAMS, When.WINDOW),
    Kind("half_open", "the peer is gone, and TCP does not know", "F02", STREAMS, When.ONCE),
    Kind("close", "every session is closed with this code", "F04 F62", STREAMS, When.ONCE, params=(
        Param("code", "close code", 1000, 4999,
              among=(1000, 1001, 1011, 1012, 1013, 4001, 4002, 4003, 4008)),)),
    Kind("drop", "every session ends without a close frame (1006)", "F04 F29", STREAMS, When.ONCE),
    Kind("refuse", "new sessions end as soon as they are there", "F04 F29", STREAMS, When.WINDOW),
    Kind("burst", "one frame comes this many times at once", "F09", STREAMS, When.ONCE, params=(
        Param("frames", "frames", 1, 20_000, (200, 900)),)),
)  # fmt: skip

FRAMES = (
    Kind("frame_lost", "a frame does not come", "F06 F62", STREAMS),
    Kind("frame_twice", "a frame comes again at once", "F06 F13", STREAMS, params=(
        Param("copies", "further times", 1, 5, (1, 3)),)),
    Kind("frame_overtaken", "a frame comes after later ones", "F06 F14", STREAMS, params=(
        Param("by", "frames", 1, 50, (1, 4)),)),
    Kind("frames_late", "frames come late and in order", "F15 F20 F41", STREAMS, params=(
        millis("delay_ms", 100, 3_000),)),
    Kind("frame_truncated", "a frame breaks off in the middle", "F10", STREAMS),
    Kind("frame_unknown", "a frame of an event type nobody knows comes before it", "F10", STREAMS),
    Kind("frame_garbage", "a frame that means nothing comes before it", "F10", STREAMS),
    Kind("frame_binary", "a binary frame comes before it", "F10", STREAMS),
    Kind("frame_bad_utf8", "a frame is no UTF-8", "F10", STREAMS),
    Kind("frame_huge", "a frame of this size comes before it", "F10", STREAMS, params=(
        Param("kib", "KiB", 1, 8_192, (64, 2_048)),)),
    Kind("frame_deep", "a frame nested this deep comes before it", "F10", STREAMS, params=(
        Param("depth", "brackets", 1, 200_000, (800, 1_200)),)),
    Kind("keys_twice", "an object has a key twice, the second time with nonsense", "F10", STREAMS),
    Kind("numbers_wild", "a price or size is NaN, Infinity, 1e400, −0 …", "F11", STREAMS),
)  # fmt: skip

BOOK_LIES = (
    Kind("snapshot_missing", "a first snapshot lacks one of its books", "F05", MARKET,
         match=("bids",)),
    Kind("snapshots_gone", "no snapshot comes at all", "F05", MARKET, When.WINDOW, match=("bids",)),
    Kind("snapshot_old", "an old snapshot comes again", "F06", MARKET),
    Kind("nothing_new", "NO NEW ASSETS comes before a frame", "F10", MARKET),
    Kind("levels_crossed", "a level beyond the other side's best", "F07", MARKET, match=BOOKS),
    Kind("levels_wrong", "a size below zero, or a price off the grid", "F07", MARKET, match=BOOKS),
    Kind("token_wrong", "a frame speaks of a token nobody asked for", "F12", MARKET, match=BOOKS),
    Kind("tokens_exchanged", "the two tokens of a frame change places", "F12", MARKET,
         match=("price_change",)),
    Kind("token_silent", "of each market one token is not spoken of, while the other is", "F01 F05",
         MARKET, When.WINDOW, apart=True),
)  # fmt: skip

USER_LIES = (
    Kind("events_again", "who logs in again gets the key's last events once more", "F13 F14 F29",
         USER, params=(Param("events", "events", 1, EVENTS_KEPT, (1, 20)),)),
    Kind("numbers_empty", "a number is an empty text", "F13 F14", USER),
    Kind("stamps_in_seconds", "stamps in seconds instead of milliseconds", "F14", USER),
    Kind("status_free_text", "a status in words nobody knows", "F14", USER),
    Kind("fill_off", "a fill is told a little larger or smaller than it is", "F30", USER,
         match=('"trade"',), params=(
             Param("micro", "shares, 10⁻⁶", -1_000_000, 1_000_000, among=(-10_000, -1, 1, 10_000)),
         ), lasting=True),
    Kind("cancelled_tells_matched", "a cancellation event reads MATCHED", "F25", USER,
         match=("CANCELLATION",)),
)  # fmt: skip

PRICE_LIES = (
    Kind("value_frozen", "the same value with fresh stamps", "F59", FEEDS, When.WINDOW),
    Kind("value_off", "values are off by this much", "F60", FEEDS, When.WINDOW, params=(
        Param("shift_bp", "basis points", -1_000, 1_000, among=(-12, -4, 4, 12)),)),
    Kind("gap_at_open", "nothing is published around the start of a window", "F61", PRICES,
         When.WINDOW, params=(
             Param("window_s", "seconds between window starts", 60, 86_400, (300, 300)),
             Param("before_s", "seconds", 0, 300, (60, 120)),
             Param("after_s", "seconds", 0, 300, (0, 10)))),
    Kind("dropped_told", "the feed says it dropped messages", "F62", ("prices_ws",), params=(
        Param("count", "messages", 1, 1_000, (1, 20)),)),
)  # fmt: skip

KINDS = CONNECTION + FRAMES + BOOK_LIES + USER_LIES + PRICE_LIES
