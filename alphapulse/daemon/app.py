"""The ASGI application: routes inside, what every request passes through around them."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import WebSocketRoute

from alphapulse import __version__
from alphapulse.daemon.access import PUBLIC
from alphapulse.daemon.description import describe
from alphapulse.daemon.envelope import BodyLimit, Envelope
from alphapulse.daemon.limits import Strangers
from alphapulse.daemon.problems import Problems, framework_problem
from alphapulse.daemon.routes import (
    accounts,
    agents,
    audit,
    auth,
    cache,
    config,
    events,
    funds,
    health,
    jobs,
    keys,
    market,
    members,
    orders,
    pages,
    plan,
    portfolio,
    privacy,
    risk,
    sessions,
    signing_keys,
    support,
    tenants,
    totp,
    trades,
)
from alphapulse.daemon.routing import StrictRoute
from alphapulse.daemon.services import Services
from alphapulse.daemon.trail import Trail
from alphapulse.settings import Settings

#: In the order in which paths are compared: what dashboards ask all the time first.
_ROOMS = (
    portfolio,
    trades,
    orders,
    events,
    risk,
    funds,
    agents,
    market,
    health,
    auth,
    totp,
    sessions,
    signing_keys,
    members,
    accounts,
    keys,
    tenants,
    plan,
    audit,
    jobs,
    cache,
    privacy,
    support,
    config,
    pages,
)


def create_app(services: Services, settings: Settings) -> FastAPI:
    """The daemon's HTTP and WebSocket interface over ``services``."""
    app = FastAPI(
        title="AlphaPulse",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
        middleware=[
            Middleware(Envelope, clock=services.clock, telemetry=services.telemetry),
            Middleware(Trail, recorder=services.recorder),
            Middleware(Problems),
            Middleware(Strangers, limits=services.limits, public=PUBLIC),
            Middleware(
                BodyLimit, limit=settings.body_limit, larger={("POST", "/market/candles"): settings.import_limit}
            ),
        ],
        exception_handlers={HTTPException: framework_problem, RequestValidationError: framework_problem},
    )
    app.state.services = services
    app.state.configuration = settings.shown()
    router = APIRouter(route_class=StrictRoute)
    for room in _ROOMS:
        room.routes(router)
    app.router.routes.extend(router.routes)
    app.router.routes.append(WebSocketRoute("/ws", services.stream.serve, name="stream.open"))
    describe(app)
    return app
