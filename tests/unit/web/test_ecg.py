"""Electrocardiograms are drawn to scale from what FHIR says of their samples."""

from __future__ import annotations

import re
from typing import Any

import pytest

from quanmin.web.drawing import Pen
from quanmin.web.ecg import LEADS_MAX, Lead, ecg_drawing, leads_of

PEN = Pen("en", str)
NAMES = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


def sampled(data: str, **more: Any) -> dict[str, Any]:
    value = {"origin": {"value": 0, "code": "uV"}, "period": 2, "factor": 5, "dimensions": 1}
    return {
        "code": {"coding": [{"code": "MDC_ECG_LEAD_II"}]},
        "valueSampledData": {**value, "data": data, **more},
    }


def ecg(*leads: Lead) -> str:
    return str(ecg_drawing(PEN, "e", "E", leads).drawing)


def traces(drawing: str) -> list[list[tuple[int, int]]]:
    """The points of each trace."""
    found = []
    for path in re.findall(r'<path d="(M[^"]*)" fill="none" stroke="#17222c"', drawing):
        points = []
        for stretch in path.split("M")[1:]:
            x, y, *steps = map(int, re.findall(r"-?\d+", stretch))
            points.append((x, y))
            for across, down in zip(steps[::2], steps[1::2], strict=True):
                x, y = x + across, y + down
                points.append((x, y))
        found.append(points)
    return found


def test_samples_are_origin_and_factor_times_number_in_millivolts() -> None:
    (lead,) = leads_of({"component": [sampled("0 100 -20 E", origin={"value": 10, "code": "uV"})]})
    assert lead.name == "II"
    assert lead.hertz == 500
    assert lead.samples == pytest.approx([0.01, 0.51, -0.09, None])


def test_samples_beyond_the_device_stand_at_its_limits() -> None:
    part = sampled("U L 1", lowerLimit=-3300, upperLimit=3300)
    (lead,) = leads_of({"component": [part]})
    assert lead.samples == pytest.approx([3.3, -3.3, 0.005])


def test_samples_of_several_dimensions_are_several_leads() -> None:
    leads = leads_of(sampled("1 2 3 4", dimensions=2, factor=1))
    assert [one.name for one in leads] == ["II 1", "II 2"]
    assert leads[0].samples == pytest.approx([0.001, 0.003])
    assert leads[1].samples == pytest.approx([0.002, 0.004])


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ({}, "no valueSampledData"),
        (sampled("1 x 3"), "'x' is no number"),
        (sampled("1 NaN"), "is no number"),
        (sampled("1", period=0), "above nought"),
        (sampled("1", period="soon"), "is no number"),
        (sampled("1", origin={"value": 1, "code": "mm[Hg]"}), "no voltage"),
        (sampled("1", origin={"value": 1}), "no voltage"),
        (sampled("1", dimensions=1000), "dimensions"),
    ],
)
def test_what_is_no_recording_is_refused_with_the_reason(part: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        leads_of(part)


def test_a_second_is_25_millimetres_and_a_millivolt_10() -> None:
    figure = ecg(Lead("I", 100, [0.0] * 100 + [1.0] * 101))
    (points,) = traces(figure)
    assert points[-1][0] - points[0][0] == 500  # two seconds, in tenths of a millimetre
    assert points[0][1] - points[-1][1] == 100
    width, high, *box = re.findall(r"[\d.]+", figure.partition("<title")[0])[:6]
    assert (float(width), float(high)) == (float(box[2]) / 10, float(box[3]) / 10)


def test_twelve_leads_stand_in_three_rows_with_a_rhythm_strip() -> None:
    figure = ecg(*(Lead(name, 250, [0.1] * 2500) for name in NAMES))
    drawn = traces(figure)
    assert len(drawn) == 13
    assert max(x for x, _ in drawn[-1]) - min(x for x, _ in drawn[-1]) == 2499
    assert [round((one[0][0] - 60) / 625) for one in drawn[:12]] == [0, 1, 2, 3] * 3


def test_a_spike_of_one_sample_is_never_lost() -> None:
    curve = [0.0] * 5000
    curve[2501] = 2.0
    (points,) = traces(ecg(Lead("I", 1000, curve)))
    assert min(y for _, y in points) == points[0][1] - 200
    assert len(points) <= 5000 / 1000 * 250 + 2


def test_a_gap_stays_open_and_what_leaves_the_paper_is_cut() -> None:
    figure = ecg(Lead("I", 100, [0.0, 0.0, None, 0.0, 90.0]))
    (path,) = re.findall(r'<path d="(M[^"]*)" fill="none" stroke="#17222c"', figure)
    assert path.count("M") == 2
    (points,) = traces(figure)
    assert points[0][1] - points[-1][1] == 250


def test_what_is_longer_than_ten_seconds_is_cut_and_it_is_said() -> None:
    figure = ecg_drawing(PEN, "e", "E", [Lead("I", 10, [0.0] * 300)])
    assert figure.notes[1] == "Of 30 seconds the first 10 are drawn."
    ((first, *_, last),) = traces(str(figure.drawing))
    assert last[0] - first[0] <= 2500


@pytest.mark.parametrize("leads", [[], [Lead("I", 100, [])], [Lead("I", 100, [None])]])
def test_nothing_recorded_is_empty_paper(leads: list[Lead]) -> None:
    assert traces(ecg(*leads)) in ([], [[]])


def test_too_many_leads_and_no_rate_are_refused() -> None:
    with pytest.raises(ValueError, match="at most"):
        ecg(*(Lead(str(n), 100, [0.0]) for n in range(LEADS_MAX + 1)))
    with pytest.raises(ValueError, match="samples a second"):
        ecg(Lead("I", 0, [0.0]))


def test_a_recording_of_ten_seconds_stays_small() -> None:
    curve = [((n * 7919) % 100) / 100 for n in range(5000)]  # noise packs worst
    assert len(ecg(*(Lead(name, 500, curve) for name in NAMES))) < 60_000
