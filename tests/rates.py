"""Rate limits of tests and benchmarks that ask faster than people do. The shipped ones: tests/daemon/test_limits.py."""

from __future__ import annotations

FAST = 10_000_000
#: For ``settings.load(rates=...)``.
GENEROUS = dict.fromkeys(("tenant", "together", "platform", "address", "login", "probe", "reserved", "local"), FAST)
#: The same as environment variables of a daemon.
GENEROUS_ENVIRONMENT = {f"ALPHAPULSE_RATES__{name.upper()}": str(rate) for name, rate in GENEROUS.items()}
