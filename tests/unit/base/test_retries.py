from __future__ import annotations

import pytest

from quanmin.base.jobs import JobLimits
from quanmin.base.retries import Retries
from quanmin.workflow.notices import NoticeSettings
from quanmin.workflow.outgoing import OutgoingSettings


def test_pauses_double_up_to_the_longest_and_never_overflow() -> None:
    retries = Retries(attempts_max=4, backoff_seconds=30, backoff_seconds_max=100)
    paused = [retries.after(attempts, 5) - 5 for attempts in (1, 2, 3, 4, 5000)]
    assert paused == [30_000_000, 60_000_000, 100_000_000, 100_000_000, 100_000_000]


def test_what_fails_too_often_in_a_row_is_given_up() -> None:
    retries = Retries(attempts_max=3)
    assert [retries.gives_up(attempts) for attempts in (1, 2, 3, 4)] == [False, False, True, True]


@pytest.mark.parametrize("settings", [JobLimits, NoticeSettings, OutgoingSettings])
def test_all_settings_of_attempts_and_pauses_are_the_same_ones(settings: type[Retries]) -> None:
    assert issubclass(settings, Retries)
    with pytest.raises(TypeError, match="Unexpected"):
        settings(attempt_max=3)  # type: ignore[call-arg]  # is no setting
