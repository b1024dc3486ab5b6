"""The API without its audit trail, beside a running daemon and on its database: what the trail is held against.

``python -m tests.benchmarks._untrailed DATA_DIRECTORY PORT``
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvicorn

from alphapulse.daemon.app import create_app
from alphapulse.daemon.assembly.whole import open_assembly
from alphapulse.daemon.trail import Trail
from alphapulse.settings import load


async def serve(data: Path, port: int) -> None:
    settings = load(data_directory=data, port=port)
    async with open_assembly(settings, owns_server=False) as assembly:
        app = create_app(assembly.services, settings)
        app.user_middleware = [layer for layer in app.user_middleware if layer.cls is not Trail]
        config = uvicorn.Config(
            app, host="127.0.0.1", port=port, http="httptools", lifespan="off", log_config=None, access_log=False
        )
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
