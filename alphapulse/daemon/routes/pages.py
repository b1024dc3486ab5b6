"""Where the links in mails lead: a page that says what to do with them.

The token stands behind the ``#`` of the link, which browsers keep to themselves, so nothing here ever sees one.
"""

from __future__ import annotations

from html import escape

from fastapi import APIRouter
from starlette.responses import HTMLResponse

from alphapulse.daemon.routing import add

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>AlphaPulse</title></head>
<body>
<h1>{title}</h1>
<p>Copy the whole address of this page, with everything behind the #, and run in a terminal:</p>
<pre>{command}</pre>
</body>
</html>
"""


def _page(title: str, command: str) -> HTMLResponse:
    return HTMLResponse(_PAGE.format(title=escape(title), command=escape(command)))


async def accept() -> HTMLResponse:
    """Where an invitation leads."""
    return _page("Accept the invitation", "alphapulse members accept 'ADDRESS'")


async def confirm() -> HTMLResponse:
    """Where the confirmation of an address leads."""
    return _page("Confirm your address", "alphapulse account confirm 'ADDRESS'")


async def reset() -> HTMLResponse:
    """Where a mail about a new password leads."""
    return _page("Set a new password", "alphapulse password reset --token 'ADDRESS'")


def routes(router: APIRouter) -> None:
    add(router, "GET", "/accept", accept, None, response_class=HTMLResponse)
    add(router, "GET", "/confirm", confirm, None, response_class=HTMLResponse)
    add(router, "GET", "/reset", reset, None, response_class=HTMLResponse)
