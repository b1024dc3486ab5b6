"""What runs when, and what ran."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer

from alphapulse.cli.invocation import Invocation
from alphapulse.cli.lazy import group, invocation
from alphapulse.cli.render import Column, Format, say
from alphapulse.cli.text import NONE, short, time
from alphapulse.domain.jobs import JobRecord, JobState, ScheduleEntry
from alphapulse.domain.wire import parse_time
from alphapulse.errors import InvalidInput

app = group()

_Name = Annotated[str, typer.Argument(metavar="JOB", help="A name of the schedule, see `alphapulse jobs list`.")]
_STYLE = {JobState.DONE: "green", JobState.FAILED: "red", JobState.RUNNING: "yellow"}


@app.command("list")
def list_jobs(
    ctx: typer.Context,
    state: Annotated[str | None, typer.Option("--state", metavar="queued|running|done|failed")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 20,
) -> None:
    """The schedule, and the newest jobs."""
    run = invocation(ctx)
    if state is not None and state not in set(JobState):
        raise InvalidInput(
            f"state: {state[:40]!r} is not a job's state", field="state", fix=f"Use one of {', '.join(JobState)}."
        )
    schedule, page = run.client.jobs.schedule(), run.client.jobs.list(state=state, limit=limit)
    if run.output.form is Format.JSON and not run.output.quiet:
        run.output.json({"schedule": schedule.items, "items": page.items, "next": page.next})
        return
    if run.output.for_people:
        run.output.rows(schedule, _SCHEDULE, key=lambda entry: entry.name, empty="Nothing is scheduled.")
        say()
    run.output.rows(page, _JOBS, key=lambda job: str(job.id), following=page.next, empty="No job yet.")


def work_of(job: JobRecord) -> str:
    """Which of the jobs of this name: the bars that a cycle decides on and the close of one, or the replay."""
    known = job.arguments
    slot = [time(parse_time(known["slot"], "slot"))] if "slot" in known else []
    if "replay_id" in known:
        return f"replay {short(known['replay_id'])}"
    timeframe = [known["timeframe"]] if "timeframe" in known else []
    return " ".join([*timeframe, *slot]) or NONE


_SCHEDULE: list[Column[ScheduleEntry]] = [
    Column("JOB", lambda entry: entry.name, style="bold"),
    Column("CRON (UTC)", lambda entry: entry.cron),
    Column("NEXT", lambda entry: "paused" if entry.paused else time(entry.next_at)),
    Column("WHAT", lambda entry: entry.meaning),
]
_JOBS: list[Column[JobRecord]] = [
    Column("ID", lambda job: str(job.id), style="dim"),
    Column("JOB", lambda job: job.name, style="bold"),
    Column("FOR", work_of),
    Column("STATE", lambda job: job.state.value, style=lambda job: _STYLE.get(job.state, "")),
    Column("TRIES", lambda job: str(job.attempts), right=True),
    Column("QUEUED", lambda job: time(job.queued_at.replace(microsecond=0))),
    Column("FINISHED", lambda job: time(job.finished_at.replace(microsecond=0) if job.finished_at else None)),
    Column("ERROR", lambda job: job.error.partition("\n")[0] or NONE),
]


@app.command("run")
def run_now(ctx: typer.Context, name: _Name) -> None:
    """Queue the newest slot of a scheduled job at once."""
    run = invocation(ctx)
    _show(run, run.client.jobs.run(name))


@app.command("pause")
def pause(ctx: typer.Context, name: _Name) -> None:
    """Keep a scheduled job from firing."""
    run = invocation(ctx)
    _show_entry(run, run.client.jobs.pause(name))


@app.command("resume")
def resume(ctx: typer.Context, name: _Name) -> None:
    """Let a scheduled job fire again."""
    run = invocation(ctx)
    _show_entry(run, run.client.jobs.resume(name))


@app.command("retry")
def retry(ctx: typer.Context, job_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Queue a failed job again."""
    run = invocation(ctx)
    _show(run, run.client.jobs.retry(parsed_id(job_id)))


def parsed_id(text: str) -> str:
    """Raises InvalidInput unless it is a job's whole id, as the list shows it."""
    try:
        return str(UUID(text))
    except ValueError:
        raise InvalidInput(
            f"{text[:60]!r} is not a job's id", field="id", fix="Copy one from `alphapulse jobs list --state failed`."
        ) from None


def _show(run: Invocation, job: JobRecord) -> None:
    run.output.record(
        job,
        [("job", job.name), ("for", work_of(job)), ("id", str(job.id)), ("state", job.state.value)],
        key=str(job.id),
    )


def _show_entry(run: Invocation, entry: ScheduleEntry) -> None:
    pairs = [("job", entry.name), ("cron", entry.cron), ("next", "paused" if entry.paused else time(entry.next_at))]
    run.output.record(entry, pairs, key=entry.name)
