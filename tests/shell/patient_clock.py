"""The clock of the scenes, under the name by which they know it."""

from __future__ import annotations

from polybot.lab.patient_clock import SLACK_S, PatientClock

__all__ = ["SLACK_S", "PatientClock"]
