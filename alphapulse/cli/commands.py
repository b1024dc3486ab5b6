"""Every command in one table: what `--help`, completion and the dispatcher know without importing any of them.

``names`` are the commands of a group, so that completion can offer them; a test compares them with the real ones.
"""

from __future__ import annotations

from dataclasses import dataclass

_TRADE, _PLATFORM, _MACHINE, _ACCESS = "Trade", "Platform", "This machine", "Access"


@dataclass(frozen=True, slots=True)
class Listed:
    """target: ``module:attribute``, a Typer app for a group, a function for a single command."""

    target: str
    help: str
    panel: str
    names: tuple[str, ...] = ()


COMMANDS: dict[str, Listed] = {
    "demo": Listed("alphapulse.cli.demo:demo", "A fund trades on paper, from nothing, in one command.", _TRADE),
    "funds": Listed(
        "alphapulse.cli.funds:app",
        "Funds and their versioned configuration.",
        _TRADE,
        ("create", "list", "show", "start", "stop", "replay", "config"),
    ),
    "portfolio": Listed(
        "alphapulse.cli.portfolio:app",
        "What a fund is worth, was worth, and would do next.",
        _TRADE,
        ("show", "history", "plan", "performance", "verify"),
    ),
    "positions": Listed("alphapulse.cli.positions:positions", "What is held.", _TRADE, ("list", "close")),
    "orders": Listed(
        "alphapulse.cli.orders:app",
        "Place, follow and explain orders.",
        _TRADE,
        ("place", "list", "show", "cancel", "explain"),
    ),
    "fills": Listed("alphapulse.cli.positions:fills", "Executions.", _TRADE, ("list",)),
    "agents": Listed(
        "alphapulse.cli.agents:app",
        "The agents, their signals, and which fund uses them how.",
        _TRADE,
        ("list", "show", "signals", "configure", "enable", "disable"),
    ),
    "risk": Listed("alphapulse.cli.risk:app", "Halt and resume trading.", _TRADE, ("halt", "resume", "status")),
    "market": Listed(
        "alphapulse.cli.market:app",
        "Candles and instruments.",
        _TRADE,
        ("import", "list", "candles", "gaps", "instruments"),
    ),
    "tui": Listed("alphapulse.cli.dashboard:tui", "The live dashboard.", _TRADE),
    "tenants": Listed(
        "alphapulse.cli.tenants:app",
        "Tenants of the platform.",
        _PLATFORM,
        (
            "create",
            "list",
            "show",
            "status",
            "retry",
            "invite",
            "plan",
            "suspend",
            "resume",
            "change-tier",
            "cancel",
            "delete",
            "restore",
            "override",
        ),
    ),
    "plan": Listed("alphapulse.cli.plan:app", "Your tenant's tier, and what it uses.", _PLATFORM, ("show", "overage")),
    "account": Listed(
        "alphapulse.cli.account:app",
        "Your tenant: a copy of everything, and its end.",
        _PLATFORM,
        ("confirm", "status", "export", "exports", "download", "delete", "undelete", "certificate"),
    ),
    "members": Listed(
        "alphapulse.cli.members:members",
        "Who may do what in a tenant.",
        _PLATFORM,
        ("list", "invite", "invitations", "withdraw", "accept", "role", "transfer", "remove"),
    ),
    "keys": Listed(
        "alphapulse.cli.keys:keys",
        "API keys for scripts, and the keys that sign tokens.",
        _PLATFORM,
        ("create", "list", "rotate", "revoke", "signing"),
    ),
    "support": Listed(
        "alphapulse.cli.support:app", "Leave to change a tenant, for a while.", _PLATFORM, ("open", "close", "list")
    ),
    "audit": Listed(
        "alphapulse.cli.audit:audit", "Who did what; verify the chain.", _PLATFORM, ("list", "export", "verify")
    ),
    "events": Listed("alphapulse.cli.journal:events", "Events as they happen.", _PLATFORM, ("tail",)),
    "jobs": Listed(
        "alphapulse.cli.jobs:app",
        "What runs when, and what ran.",
        _PLATFORM,
        ("list", "run", "pause", "resume", "retry"),
    ),
    "cache": Listed("alphapulse.cli.cache:cache", "Copies kept for a tenant.", _PLATFORM, ("stats", "flush")),
    "login": Listed("alphapulse.cli.access:login", "Log in to a daemon.", _ACCESS),
    "logout": Listed("alphapulse.cli.access:logout", "End the login.", _ACCESS),
    "password": Listed(
        "alphapulse.cli.password:password", "Change your password, or set a new one.", _ACCESS, ("change", "reset")
    ),
    "policy": Listed("alphapulse.cli.password:policy", "The daemon's privacy policy.", _ACCESS, ("show", "accept")),
    "signup": Listed("alphapulse.cli.signup:signup", "Open a tenant of your own, where that is allowed.", _ACCESS),
    "whoami": Listed("alphapulse.cli.access:whoami", "Who you are, and as what.", _ACCESS),
    "sessions": Listed("alphapulse.cli.sessions:sessions", "Where you are logged in.", _ACCESS, ("list", "revoke")),
    "totp": Listed(
        "alphapulse.cli.totp:totp",
        "Your second factor: an authenticator.",
        _ACCESS,
        ("enable", "status", "codes", "disable"),
    ),
    "context": Listed(
        "alphapulse.cli.access:context",
        "Which daemon to talk to, and as whom.",
        _ACCESS,
        ("add", "list", "use", "remove"),
    ),
    "daemon": Listed(
        "alphapulse.cli.daemon:daemon", "The headless daemon.", _MACHINE, ("run", "start", "stop", "status", "logs")
    ),
    "db": Listed(
        "alphapulse.cli.machine:db",
        "The database, its migrations and its backups.",
        _MACHINE,
        ("upgrade", "status", "check", "backup", "backups", "verify", "restore", "restored"),
    ),
    "config": Listed("alphapulse.cli.machine:config", "Settings in force.", _MACHINE, ("show", "validate")),
    "init": Listed("alphapulse.cli.initialise:init", "Set up this machine: settings, keys, the first admin.", _MACHINE),
    "doctor": Listed("alphapulse.cli.machine:doctor", "Find what is wrong here, and how to mend it.", _MACHINE),
    "worker": Listed("alphapulse.cli.machine:worker", "Run jobs without serving the API.", _MACHINE),
    "completion": Listed("alphapulse.cli.completion:completion", "Completion for bash, zsh and fish.", _MACHINE),
}
