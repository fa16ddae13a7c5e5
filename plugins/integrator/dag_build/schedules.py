"""From a pipe's schedule to Airflow's."""

from __future__ import annotations

from typing import Any

from airflow.sdk import CronTriggerTimetable, DeltaTriggerTimetable, MultipleCronTriggerTimetable

from integrator.model.pipe import Every, Pipe

ONCE = "@once"


def needs_zone(pipe: Pipe) -> bool:
    """Tell whether the times at which a pipe runs are its project's, since it names no zone itself."""
    return pipe.timezone is None and isinstance(pipe.schedule, (str, list)) and pipe.schedule != ONCE


def schedule_of(pipe: Pipe, zone: str) -> Any:
    """Return Airflow's schedule for a cron, several, a preset, a distance, or nothing.

    Args:
        zone: of times, where the pipe names none.
    """
    schedule, zone = pipe.schedule, pipe.timezone or zone
    if isinstance(schedule, Every):
        return DeltaTriggerTimetable(schedule.every)
    if isinstance(schedule, list):
        return MultipleCronTriggerTimetable(*schedule, timezone=zone)
    if isinstance(schedule, str):
        return schedule if schedule == ONCE else CronTriggerTimetable(schedule, timezone=zone)
    return None
