import logging

import pytest

from stages.project import durations, progress
from stages.project.durations import announcement, description, in_words
from stages.project.progress import Bar


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Clock:
    caplog.set_level(logging.INFO, "stages")
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


def test_without_a_terminal_a_loop_says_once_how_long_it_will_go_on(clock: Clock, caplog: pytest.LogCaptureFixture):
    """100 of 3 seconds each: told after the fourth, when 96 are left."""
    for _ in Bar(range(100), desc="reading"):
        clock.now += 3
    assert caplog.messages == ["reading: about 5 min to go"]


def test_what_was_done_before_does_not_count_as_speed(clock: Clock, caplog: pytest.LogCaptureFixture):
    """50 of 100 were done before, 10 took 20 seconds, so the last 40 take 80."""
    bar = Bar(total=100, initial=50, desc="epoch 2/8")
    clock.now = 20
    bar.update(10)
    assert caplog.messages == ["epoch 2/8: about 80 s to go"]


@pytest.mark.parametrize(("step", "silent"), [(0.05, False), (3, True)])
def test_a_short_loop_and_a_silent_one_say_nothing(
    clock: Clock, caplog: pytest.LogCaptureFixture, step: float, silent: bool
):
    for _ in Bar(range(9), silent=silent):
        clock.now += step
    assert caplog.messages == []


def test_a_loop_of_unknown_length_says_nothing(clock: Clock, caplog: pytest.LogCaptureFixture):
    bar = Bar(desc="reading notes")
    clock.now = 100
    bar.update(5)
    assert caplog.messages == []


def test_durations_in_words():
    assert [in_words(seconds) for seconds in (4.4, 119, 121, 7199, 7201)] == ["4 s", "119 s", "2 min", "120 min", "2 h"]


def test_a_stage_says_what_it_does_and_how_long_that_took(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(durations, "known_seconds", lambda: {"predict": 150.0, "labelize": 0.2})
    assert announcement("predict") == "predict: logits of the validation and test documents (2 min the last time)"
    assert announcement("labelize") == "labelize: targets, and what model.type means to each later stage"
    assert "patients" in description("synthesize")
    assert announcement("none_of_them") is None
