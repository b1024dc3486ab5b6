"""Candles and instruments."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from alphapulse.client.connection import LONG, UPLOAD, Connection, Page, read
from alphapulse.domain.market import Bar, Gap, ImportReport, Instrument, Series, SeriesInfo

#: Bars of one answer.
MOST = 1000


class MarketCalls:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def import_candles(
        self, file: Path, *, venue: str | None = None, symbol: str | None = None, timeframe: str | None = None
    ) -> ImportReport:
        """Uploads ``file`` (CSV, Parquet or Feather). What is not given is read from a name like
        ``binance_BTC-USDT_4h.csv``. Raises InvalidInput naming file, line and column; then nothing was imported.
        """
        query = {"filename": file.name, "venue": venue, "symbol": symbol, "timeframe": timeframe}
        answer = self._connection.request("POST", "/market/candles", query=query, upload=file, timeout=UPLOAD)
        return read(ImportReport, answer)

    def series(self) -> Page[SeriesInfo]:
        return self._connection.page(SeriesInfo, "/market/series", timeout=LONG)

    def candles(
        self, series: Series, since: datetime | None = None, until: datetime | None = None, limit: int = 100
    ) -> Page[Bar]:
        """Closed bars, oldest first; without ``since`` the newest. Any limit: the daemon gives MOST at a time."""
        bars: list[Bar] = []
        while True:
            wanted = min(limit - len(bars), MOST) if limit > 0 else limit
            page = self._connection.page(
                Bar, "/market/candles", **_query(series), since=since, until=until, limit=wanted, timeout=LONG
            )
            bars = [*bars, *page] if since is not None else [*page, *bars]
            if len(page) < wanted or len(bars) >= limit:
                return Page(tuple(bars), page.next)
            if since is not None:
                since = page.items[-1].open_at + series.timeframe.length
            else:
                until = page.items[0].open_at

    def gaps(self, series: Series) -> Page[Gap]:
        return self._connection.page(Gap, "/market/gaps", **_query(series), timeout=LONG)

    def instruments(self, venue: str) -> Page[Instrument]:
        return self._connection.page(Instrument, "/market/instruments", venue=venue, timeout=LONG)


def _query(series: Series) -> dict[str, str]:
    return {"venue": series.venue, "symbol": series.symbol, "timeframe": series.timeframe.value}
