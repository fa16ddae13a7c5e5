"""From a pipe's schedule to Airflow's."""

from __future__ import annotations

from typing import Any

from airflow.sdk import CronTriggerTimetable, DeltaTriggerTimetable, MultipleCronTriggerTimetable

from integrator.model.pipe import Every, Pipe

ONCE = "@once"


def schedule_of(pipe: Pipe) -> Any:
    """Return Airflow's schedule for a cron, several, a preset, a distance, or nothing."""
    schedule = pipe.schedule
    if isinstance(schedule, Every):
        return DeltaTriggerTimetable(schedule.every)
    if isinstance(schedule, list):
        return MultipleCronTriggerTimetable(*schedule, timezone=pipe.timezone)
    if isinstance(schedule, str):
        return schedule if schedule == ONCE else CronTriggerTimetable(schedule, timezone=pipe.timezone)
    return None
