"""The queue port on Procrastinate: PostgreSQL is the broker, a job is enqueued by the commit of what caused it.

Procrastinate carries jobs to workers; what became of them stands in our own ``jobs`` rows, so its rows are
deleted as soon as a job ends. Delivery is at least once: see docs/decisions/0501 for how a dead worker is told.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import procrastinate
import psycopg
from procrastinate import exceptions as engine_errors
from procrastinate import jobs as engine_jobs
from procrastinate import manager as engine_manager
from procrastinate.job_context import JobContext

from alphapulse.adapters.database.failures import translate
from alphapulse.adapters.queue import store
from alphapulse.errors import AlphaPulseError, Conflict, NotFound, Refused
from alphapulse.ports.database import Database, Transaction
from alphapulse.ports.queue import JobFunction, Turn
from alphapulse.ports.telemetry import Telemetry

_TASK = "job"
#: The higher goes first; among equals the older.
_URGENT, _PATIENT = 100, -100
_OPTIONS = "-c search_path=app,queue -c timezone=UTC -c statement_timeout=60s"
_ERROR_LENGTH = 500
_UNTIL_FETCHING_ENDS_S = 0.05

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkRules:
    """How a worker behaves.

    attempts: after so many a job is given up, whether they failed or ended with their worker.
    resumable_attempts: the same for jobs that go on where they stopped, which may therefore outlive many workers.
    first_pause: before the second attempt; each further pause is ``growth`` times longer, up to longest_pause.
    silence: a worker without a heartbeat for so long counts as dead even while its connection seems to stand.
    sweep: time between two looks for the jobs of dead workers. poll: between two looks for jobs whose pause is over.
    drain: how long running jobs may go on when the worker stops.
    """

    attempts: int = 5
    resumable_attempts: int = 100
    first_pause: timedelta = timedelta(seconds=2)
    growth: float = 4.0
    longest_pause: timedelta = timedelta(minutes=5)
    silence: timedelta = timedelta(minutes=5)
    sweep: timedelta = timedelta(seconds=5)
    poll: timedelta = timedelta(seconds=1)
    drain: timedelta = timedelta(seconds=20)

    def pause_after(self, attempts: int) -> timedelta:
        """attempts: how many were made, at least 1."""
        return min(self.longest_pause, self.first_pause * self.growth ** min(attempts - 1, 32))


class ProcrastinateQueue:
    """See ports/queue.py. url: login of the application's role. Enqueueing needs no connection of its own."""

    def __init__(self, url: str, *, database: Database, telemetry: Telemetry, rules: WorkRules | None = None) -> None:
        self._url = url
        self._database = database
        self._telemetry = telemetry
        self._rules = rules or WorkRules()
        self._functions: Mapping[str, JobFunction] = {}
        self._resumable: frozenset[str] = frozenset()
        self._resuming: set[asyncio.Task[Any]] = set()
        self._trouble = asyncio.Event()
        self._app = procrastinate.App(
            connector=procrastinate.PsycopgConnector(
                conninfo=url,
                min_size=1,
                max_size=3,
                timeout=5,
                kwargs={"options": _OPTIONS, "application_name": "alphapulse queue"},
            )
        )
        self._app.job_manager = _EngineRows(self._app.connector, self._trouble)
        self._app.task(name=_TASK, pass_context=True, retry=_Policy())(self._perform)

    async def enqueue(
        self,
        tx: Transaction,
        name: str,
        arguments: Mapping[str, str],
        *,
        tenant_id: UUID | None = None,
        urgent: bool = False,
        patient: bool = False,
    ) -> UUID:
        job_id = uuid4()
        queue_id = await self._defer(tx, job_id, tenant_id, _URGENT if urgent else _PATIENT if patient else 0)
        await store.insert(tx, job_id, name, tenant_id, arguments, queue_id)
        return job_id

    async def requeue(self, tx: Transaction, job_id: UUID) -> None:
        found = await store.find(tx, job_id)
        if found is None:
            raise NotFound(f"no job {job_id}")
        if found["state"] != "failed":
            raise Conflict(f"job {job_id} is {found['state']}", fix="Only a failed job can be retried.")
        await store.revive(tx, job_id, await self._defer(tx, job_id, found["tenant_id"], 0))

    async def reap(self) -> int:
        """Give the jobs of dead workers back to the queue; returns how many. Raises Unavailable."""
        async with self._database.shared() as tx:
            freed = await store.orphans(tx, self._rules.silence.total_seconds())
        if freed:
            _log.warning("jobs of dead workers go back to the queue", extra={"jobs": freed})
            self._telemetry.count("jobs_recovered_total", freed)
        return freed

    async def work(
        self, functions: Mapping[str, JobFunction], *, concurrency: int, resumable: frozenset[str] = frozenset()
    ) -> None:
        """Run jobs until cancelled; then running jobs may go on for ``rules.drain`` and are given back after it.

        functions: by job name. resumable: names of long jobs that go on where they stopped, and so are given back at
        once. Survives the database being away: works again when it is back.
        """
        self._functions = functions
        self._resumable = resumable
        while True:
            began = monotonic()
            try:
                await self._work_until_trouble(concurrency)
            except (engine_errors.ProcrastinateException, psycopg.Error, AlphaPulseError, TimeoutError) as error:
                _log.warning("the worker starts anew", extra={"reason": str(error) or type(error).__name__})
            await asyncio.sleep(2.0 if monotonic() - began < 2.0 else 0.1)

    async def _work_until_trouble(self, concurrency: int) -> None:
        """One registration in the database, from its liveness lock to the first trouble with the database."""
        self._trouble.clear()
        async with self._app.open_async(), await _connect(self._url) as lifeline:
            self._rows.use(lifeline)
            await self.reap()
            worker = self._app.run_worker_async(
                concurrency=concurrency,
                install_signal_handlers=False,
                fetch_job_polling_interval=self._rules.poll.total_seconds(),
                shutdown_graceful_timeout=self._rules.drain.total_seconds(),
                stalled_worker_timeout=self._rules.silence.total_seconds(),
                delete_jobs="always",
            )
            tasks = [
                asyncio.create_task(part)
                for part in (worker, self._rows.until_lost(), self._sweep(), self._trouble.wait())
            ]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                # Only when the worker fetches no more: it would take up again what it gives back.
                asyncio.get_running_loop().call_later(_UNTIL_FETCHING_ENDS_S, self._interrupt)
                await asyncio.gather(*tasks, return_exceptions=True)
            for task in done:
                await task

    def _interrupt(self) -> None:
        for task in self._resuming:
            task.cancel()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self._rules.sweep.total_seconds())
            await self.reap()

    @property
    def _rows(self) -> _EngineRows:
        assert isinstance(self._app.job_manager, _EngineRows)
        return self._app.job_manager

    async def _defer(self, tx: Transaction, job_id: UUID, tenant_id: UUID | None, priority: int) -> int:
        deferrer = self._app.configure_task(_TASK, connection=tx.connection, priority=priority)
        tenant = None if tenant_id is None else str(tenant_id)
        try:
            return await deferrer.defer_async(job_id=str(job_id), tenant_id=tenant)
        except engine_errors.ConnectorException as error:
            # The engine wraps the driver's error; whoever enqueues knows only ours, and repeats what can pass.
            if isinstance(error.__cause__, psycopg.Error):
                raise translate(error.__cause__) from error
            raise

    def _scope(self, tenant_id: UUID | None) -> AbstractAsyncContextManager[Transaction]:
        return self._database.shared() if tenant_id is None else self._database.transaction(tenant_id)

    async def _perform(self, context: JobContext, *, job_id: str, tenant_id: str | None) -> None:
        """One attempt at one job. Returns when the job is done or given up; raises _Again when it shall be repeated."""
        job = UUID(job_id)
        tenant = None if tenant_id is None else UUID(tenant_id)
        try:
            async with self._scope(tenant) as tx:
                claimed = await store.claim(tx, job, context.job.id or 0)
            if claimed is not None:
                await self._attempt(job, tenant, claimed["name"], claimed["arguments"], claimed["attempts"])
        except AlphaPulseError:
            # Our own rows could not be written, so the database is in trouble: a new registration sorts it out.
            self._trouble.set()
            raise

    async def _attempt(
        self, job: UUID, tenant: UUID | None, name: str, arguments: dict[str, str], attempts: int
    ) -> None:
        began = monotonic()
        task = asyncio.current_task()
        if name in self._resumable and task is not None:
            self._resuming.add(task)
            task.add_done_callback(self._resuming.discard)
        try:
            if attempts > self._most(name):
                raise Refused(f"the last of {self._most(name)} attempts ended with its worker")
            if name not in self._functions:
                raise Refused(f"no job is named {name}")
            turn = await self._functions[name](arguments)
        except asyncio.CancelledError:
            await self._take_back(job, tenant)
            raise
        except Exception as error:  # noqa: BLE001 -- the outermost loop of a job
            await self._failed(job, tenant, name, attempts, error)
        else:
            async with self._scope(tenant) as tx:
                if turn is Turn.AGAIN:
                    # A delivery of its own: the engine takes the oldest first, and this one is old.
                    await store.line_up(tx, job, await self._defer(tx, job, tenant, _PATIENT))
                else:
                    await store.finish(tx, job, "done", "")
            self._telemetry.count("jobs_total", name=name, outcome="again" if turn is Turn.AGAIN else "done")
            self._telemetry.observe("job_seconds", monotonic() - began, name=name)

    async def _failed(self, job: UUID, tenant: UUID | None, name: str, attempts: int, error: Exception) -> None:
        """Store what went wrong; raises _Again unless the job is given up: refused, or out of attempts."""
        code = error.code if isinstance(error, AlphaPulseError) else type(error).__name__
        text = f"{code}: {error}"[:_ERROR_LENGTH]
        final = isinstance(error, Refused) or attempts >= self._most(name)
        async with self._scope(tenant) as tx:
            if final:
                await store.finish(tx, job, "failed", text)
            else:
                await store.put_back(tx, job, text)
        known = {"job": name, "job_id": str(job), "attempts": attempts, "error": text}
        # A traceback only where it tells something: our own errors name their cause already.
        trace = None if isinstance(error, AlphaPulseError) else error
        _log.error("job given up" if final else "job failed, will be repeated", extra=known, exc_info=trace)
        self._telemetry.count("jobs_total", name=name, outcome="failed" if final else "repeated")
        if not final:
            raise _Again(self._rules.pause_after(attempts))

    def _most(self, name: str) -> int:
        return self._rules.resumable_attempts if name in self._resumable else self._rules.attempts

    async def _take_back(self, job: UUID, tenant: UUID | None) -> None:
        try:
            async with self._scope(tenant) as tx:
                await store.take_back(tx, job)
        except AlphaPulseError as error:
            # The row stays "running", which the next claim accepts as well.
            _log.warning("a job could not be given back", extra={"job_id": str(job), "reason": str(error)})


class _Again(Exception):
    """Carries the pause to the retry policy."""

    def __init__(self, pause: timedelta) -> None:
        super().__init__(f"again in {pause.total_seconds():.0f} s")
        self.pause = pause


class _Policy(procrastinate.BaseRetryStrategy):
    def get_retry_decision(
        self,
        *,
        exception: BaseException,
        job: engine_jobs.Job,  # noqa: ARG002 -- attempts are counted in our own rows
    ) -> procrastinate.RetryDecision:
        pause = exception.pause if isinstance(exception, _Again) else timedelta(0)
        return procrastinate.RetryDecision(retry_in={"milliseconds": pause // timedelta(milliseconds=1)})


class _EngineRows(engine_manager.JobManager):
    """Takes the liveness lock before a worker can fetch its first job, and tells of outcomes that were not stored."""

    def __init__(self, connector: Any, trouble: asyncio.Event) -> None:
        super().__init__(connector)
        self._trouble = trouble
        self._registered = asyncio.Event()
        self._lifeline: psycopg.AsyncConnection[Any] | None = None

    def use(self, lifeline: psycopg.AsyncConnection[Any]) -> None:
        """The connection whose life the next registered worker shares."""
        self._registered.clear()
        self._lifeline = lifeline

    async def register_worker(self) -> int:
        worker_id = await super().register_worker()
        assert self._lifeline is not None
        await self._lifeline.execute(store.HOLD, [store.LIVENESS, worker_id])
        self._registered.set()
        return worker_id

    async def until_lost(self) -> None:
        """Returns, or raises psycopg's error, when the lifeline ends; it waits on the socket and asks for nothing."""
        await self._registered.wait()
        assert self._lifeline is not None
        async for _ in self._lifeline.notifies():
            pass

    async def finish_job(self, *arguments: Any, **named: Any) -> None:
        try:
            await super().finish_job(*arguments, **named)
        except BaseException:
            self._trouble.set()
            raise

    async def retry_job(self, *arguments: Any, **named: Any) -> None:
        try:
            await super().retry_job(*arguments, **named)
        except BaseException:
            self._trouble.set()
            raise


async def _connect(url: str) -> psycopg.AsyncConnection[Any]:
    return await psycopg.AsyncConnection.connect(
        url, autocommit=True, connect_timeout=5, options=_OPTIONS, application_name="alphapulse worker"
    )
