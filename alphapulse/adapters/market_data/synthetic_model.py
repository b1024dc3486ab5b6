"""The arithmetic of the synthetic market; docs/explanation/synthetic-market.md explains the model and its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from alphapulse.quant.window import Floats

MINUTES = 1440
DAY_MS = MINUTES * 60_000

#: Per day: drift and volatility of the common factor (log), and how much volatility of their own symbols have.
REGIMES = np.array(
    [
        # drift,  volatility, own
        [0.0035, 0.020, 1.0],  # bull
        [0.0000, 0.014, 0.8],  # range
        [-0.0040, 0.028, 1.1],  # bear
        [-0.0250, 0.065, 1.6],  # crisis
    ]
)
#: Chance of tomorrow's regime (column) given today's (row); mean stays of about 50, 33, 33 and 5 days.
TRANSITIONS = np.array(
    [
        [0.980, 0.014, 0.004, 0.002],
        [0.018, 0.970, 0.010, 0.002],
        [0.012, 0.015, 0.970, 0.003],
        [0.050, 0.100, 0.050, 0.800],
    ]
)
#: Pull towards the start, per day: keeps prices within human magnitudes for decades (half-lives 700 and 350 days).
COMMON_PULL = 0.001
OWN_PULL = 0.002
#: Spread of the day's log volatility around its regime's: fat tails.
VOLATILITY_SPREAD = 0.35
#: How much busier (in variance) the busiest minute of the day is than the average one, at 15:00 UTC.
DAILY_RHYTHM = 0.4

_DAY_BLOCK = 512
_DRAWS_PER_COUNTER = 4
_COMMON_STREAM = 0


@dataclass(frozen=True, slots=True)
class Coin:
    """start: quote currency on 2020-01-01. beta: to the common factor. volatility: its own, per day. turnover: base
    currency a day.
    """

    start: float
    beta: float
    volatility: float
    turnover: float


@dataclass(frozen=True, slots=True)
class MinutePath:
    """Per minute, quote currency; volume in base currency."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats


class DailyPath:
    """Log prices at each midnight since the anchor, made as far as they are asked for and then remembered.

    Threads may share it.
    """

    def __init__(self, seed: int, coins: tuple[Coin, ...]) -> None:
        self.seed = seed
        self.coins = coins
        self._lock = Lock()
        width = len(coins)
        self._regime = 0
        self._common, self._own = 0.0, np.zeros(width)
        #: Row d: log price of each coin at the midnight that day d starts with.
        self.levels = np.log([[coin.start for coin in coins]])
        #: Row d: volatility of the common factor and of each coin by itself during day d.
        self.common_volatility = np.empty(0)
        self.own_volatility = np.empty((0, width))

    def until(self, day: int) -> None:
        """Make sure that days below ``day`` are known."""
        with self._lock:
            while len(self.common_volatility) < day:
                self._extend()

    def _extend(self) -> None:
        width, first = len(self.coins), len(self.common_volatility)
        per_day = 2 + 1 + width
        noise = normals(self.seed, 1, first * per_day, _DAY_BLOCK * per_day).reshape(_DAY_BLOCK, per_day)
        luck = uniforms(self.seed, 2, first, _DAY_BLOCK)
        levels = np.empty((_DAY_BLOCK, width))
        common_volatility, own_volatility = np.empty(_DAY_BLOCK), np.empty((_DAY_BLOCK, width))
        start, beta, own = (
            np.array([getattr(coin, name) for coin in self.coins]) for name in ("start", "beta", "volatility")
        )
        chances = np.cumsum(TRANSITIONS, axis=1)
        for day in range(_DAY_BLOCK):
            self._regime = min(int(np.searchsorted(chances[self._regime], luck[day])), len(REGIMES) - 1)
            drift, volatility, own_factor = REGIMES[self._regime]
            common_volatility[day] = volatility * np.exp(VOLATILITY_SPREAD * noise[day, 0])
            own_volatility[day] = own * own_factor * np.exp(VOLATILITY_SPREAD * noise[day, 1])
            self._common += drift - COMMON_PULL * self._common + common_volatility[day] * noise[day, 2]
            self._own = self._own * (1.0 - OWN_PULL) + own_volatility[day] * noise[day, 3:]
            levels[day] = np.log(start) + beta * self._common + self._own
        self.levels = np.concatenate([self.levels, levels])
        self.own_volatility = np.concatenate([self.own_volatility, own_volatility])
        self.common_volatility = np.concatenate([self.common_volatility, common_volatility])


def minute_path(daily: DailyPath, coin: int, first_day: int, end_day: int) -> MinutePath:
    """Minutes of the days from ``first_day`` up to, not including, ``end_day`` (counted from the anchor)."""
    daily.until(end_day)
    days = end_day - first_day
    each = daily.coins[coin]
    share = _rhythm()
    common = _bridges(daily.seed, _COMMON_STREAM, first_day, days, share)
    own = _bridges(daily.seed, coin + 1, first_day, days, share)
    span = slice(first_day, end_day)
    spread = each.beta * daily.common_volatility[span, None] * common + daily.own_volatility[span, coin, None] * own
    start, end = daily.levels[first_day:end_day, coin], daily.levels[first_day + 1 : end_day + 1, coin]
    closes = start[:, None] + (end - start)[:, None] * np.cumsum(share) + spread
    opens = np.concatenate([start[:, None], closes[:, :-1]], axis=1)
    of_day = np.sqrt((each.beta * daily.common_volatility[span]) ** 2 + daily.own_volatility[span, coin] ** 2)
    return _bars(daily, coin, first_day, (opens, closes, of_day[:, None] * np.sqrt(share)))


def _bars(daily: DailyPath, coin: int, first_day: int, path: tuple[Floats, Floats, Floats]) -> MinutePath:
    """Highs, lows and volumes around the minutes' opens and closes (log). path: opens, closes, deviation of a
    minute.
    """
    opens, closes, deviation = path
    days = len(opens)
    noise = normals(daily.seed, 1000 + coin, first_day * MINUTES * 3, days * MINUTES * 3).reshape(days, MINUTES, 3)
    high = np.maximum(opens, closes) + 0.5 * deviation * np.abs(noise[:, :, 0])
    low = np.minimum(opens, closes) - 0.5 * deviation * np.abs(noise[:, :, 1])
    each = daily.coins[coin]
    move = np.abs(closes - opens) / deviation
    # Dearer coins trade fewer units: turnover is meant at the starting price.
    units = each.turnover * each.start * np.exp(-closes)
    volume = units / MINUTES * (0.5 + 0.6 * move) * np.exp(0.6 * noise[:, :, 2])
    opens, high, low, closes = (np.exp(part).ravel() for part in (opens, high, low, closes))
    return MinutePath(opens, high, low, closes, volume.ravel())


def _rhythm() -> Floats:
    """Share of a day's variance that falls into each minute; they sum to one."""
    minute = np.arange(MINUTES)
    share = 1.0 + DAILY_RHYTHM * np.cos(2.0 * np.pi * (minute - 900) / MINUTES)
    return share / share.sum()


def _bridges(seed: int, stream: int, first_day: int, days: int, share: Floats) -> Floats:
    """Brownian bridges of unit variance, one row a day, at the end of each minute: they end where they began."""
    steps = normals(seed, 2000 + stream, first_day * MINUTES, days * MINUTES).reshape(days, MINUTES) * np.sqrt(share)
    walk = np.cumsum(steps, axis=1)
    return walk - walk[:, -1:] * np.cumsum(share)


def uniforms(seed: int, stream: int, first: int, count: int) -> Floats:
    """Draws ``first`` to ``first + count`` of a stream, each in (0, 1).

    Philox numbers its blocks, so any stretch is reached at once. Only raw bits are taken from numpy: their
    stream is guaranteed for all versions, that of its distributions is not.
    """
    counter = first // _DRAWS_PER_COUNTER
    skip = first - counter * _DRAWS_PER_COUNTER
    generator = np.random.Philox(key=np.array([seed, stream], dtype=np.uint64), counter=counter)
    blocks = ceil((skip + count) / _DRAWS_PER_COUNTER)
    raw: NDArray[np.uint64] = generator.random_raw(blocks * _DRAWS_PER_COUNTER)[skip : skip + count]
    return ((raw >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def normals(seed: int, stream: int, first: int, count: int) -> Floats:
    """Standard normal draws ``first`` to ``first + count`` of a stream, by Box and Muller (1958)."""
    pair = first // 2
    pairs = (first + count + 1) // 2 - pair
    draws = uniforms(seed, stream, pair * 2, pairs * 2).reshape(pairs, 2)
    radius, angle = np.sqrt(-2.0 * np.log(draws[:, 0])), 2.0 * np.pi * draws[:, 1]
    both = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).ravel()
    return both[first - pair * 2 : first - pair * 2 + count]
