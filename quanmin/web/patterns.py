"""The pattern page: every component of the kit once, with invented data, as it looks in both
languages, in large text, on a phone and in print. What tests walk, and what builders copy from.

A component is one section: its line in SECTIONS, and its template `pattern_<name>.html`, which
finds what the section's function made under `sample`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, Final

import msgspec
from starlette.responses import Response

from quanmin.web.charts import Band, Series, bar_chart, line_chart
from quanmin.web.dates import tell_date
from quanmin.web.ecg import Lead, ecg_drawing
from quanmin.web.forms import Cell, Field
from quanmin.web.maps import Area, area_map
from quanmin.web.pdf import pdf_page
from quanmin.web.persons import tell_patient
from quanmin.web.pickers import Pick
from quanmin.web.qr import qr_code
from quanmin.web.questionnaires import Field as Question
from quanmin.web.route import WORKERS, Page, page
from quanmin.web.text import Text
from quanmin.web.uploads import FileShown
from quanmin.web.visit import Visit

_PATH: Final = "/patterns"
_FIRST_DAY: Final = date(2026, 1, 5)
# A heart's beat as waves: where in the beat (seconds), how wide, how high (mV).
_WAVES: Final = (
    (0.16, 0.025, 0.12),
    (0.28, 0.008, -0.10),
    (0.30, 0.010, 1.00),
    (0.32, 0.008, -0.22),
    (0.52, 0.040, 0.28),
)
_LEADS: Final = {
    "I": 0.7,
    "II": 1.0,
    "III": 0.4,
    "aVR": -0.8,
    "aVL": 0.3,
    "aVF": 0.7,
    "V1": -0.5,
    "V2": 0.6,
    "V3": 0.9,
    "V4": 1.3,
    "V5": 1.1,
    "V6": 0.8,
}


class Section(msgspec.Struct, frozen=True):
    """One component: its name, its heading, and what its template shows."""

    name: str
    title: Text
    sample: Callable[[Visit], Any]


@page(_PATH, access=WORKERS)
async def patterns(visit: Visit) -> Response:
    """Every component of the kit."""
    sections = [(one.name, one.title.told(visit.language), one.sample(visit)) for one in SECTIONS]
    return visit.page("kit/patterns.html", sections=sections)


@page("/patterns.pdf", access=WORKERS)
async def patterns_pdf(visit: Visit) -> Response:
    """The drawings on paper."""
    return await pdf_page(
        visit,
        "kit/patterns_paper.html",
        file_name="patterns",
        figures=[*_charts(visit), _map(visit)],
        code=_qr(visit),
        ecg=_ecg(visit),
    )


def _nothing(_visit: Visit) -> None:
    return None


def _told(visit: Visit, *texts: tuple[str, str]) -> list[str]:
    """Invented words in the language of the page."""
    return [Text(zh=zh, en=en).told(visit.language) for zh, en in texts]


def _person(visit: Visit) -> dict[str, Any]:
    (name,) = _told(visit, ("林晓", "Lin Xiao"))
    told = tell_patient(
        {
            "name": [{"text": name}],
            "gender": "female",
            "birthDate": "1968-04-12",
            "identifier": [{"value": "580101196804120028"}],
        },
        visit.language,
        date(2026, 11, 22),
    )
    return {"id": "invented", "told": told, "allergies": [{"text": _told(visit, _ALLERGY)[0]}]}


def _fields(visit: Visit) -> list[Field]:
    name, day, clinic, wrong, hint = _told(
        visit,
        ("姓名", "Name"),
        ("日期", "Day"),
        ("门诊", "Clinic"),
        ("收缩压", "Systolic pressure"),
        ("以 mmHg 计", "In mmHg"),
    )
    choices = [("", ""), *((str(n), words) for n, words in enumerate(_told(visit, *_CLINICS)))]
    return [
        Field("pattern-name", name, is_needed=True, value=_told(visit, ("林晓", "Lin Xiao"))[0]),
        Field("pattern-day", day, kind="date", value="2026-11-22"),
        Field("pattern-clinic", clinic, kind="select", choices=choices, value="1"),
        Field(
            "pattern-pressure",
            wrong,
            value="1200",
            hint=hint,
            fault=visit.say("Choose one of the list."),
        ),
    ]


def _questions(visit: Visit) -> list[Question]:
    diagnosis, papers, code, name = _told(
        visit,
        ("诊断", "Diagnosis"),
        ("图片与资料", "Pictures and papers"),
        ("I10 原发性高血压", "I10 Essential hypertension"),
        ("皮疹.png", "rash.png"),
    )
    chosen = "urn:invented|I10"
    return [
        Question(
            key="pattern-code",
            label=diagnosis,
            kind="pick",
            choices=((chosen, code),),
            chosen=frozenset({chosen}),
            pick=Pick(words="i9", said=visit.say("No code has these words.")),
        ),
        Question(
            key="pattern-papers",
            label=papers,
            kind="files",
            files=(FileShown("invented", name, "0.2 MB"),),
            accepts="image/png",
            is_many=True,
        ),
    ]


def _rows(visit: Visit) -> dict[str, Any]:
    headings = _told(visit, ("日期", "Day"), ("项目", "Item"), ("结果", "Result"))
    items = _told(visit, ("空腹血糖", "Fasting glucose"), ("糖化血红蛋白", "Glycated haemoglobin"))
    days = [_FIRST_DAY + timedelta(days=90 * n) for n in range(4)]
    rows = [
        [Cell(day.isoformat(), link=f"#row-{n}"), Cell(items[n % 2]), Cell(f"{6.1 + n / 10:g}")]
        for n, day in enumerate(days)
    ]
    title = _told(visit, ("近期结果", "Recent results"))[0]
    return {"title": title, "headings": headings, "rows": rows}


def _tiles(visit: Visit) -> list[tuple[str, str]]:
    words = _told(
        visit,
        ("已接入机构", "Institutions connected"),
        ("消息接收率", "Messages received"),
        ("待核查问题", "Findings to check"),
    )
    return list(zip(words, (visit.pen.number(17842), "99.2%", "312"), strict=True))


def _entries(visit: Visit) -> list[tuple[str, str, str, str]]:
    """(kind, day, what, where) of a timeline."""
    what = _told(visit, ("门诊就诊", "Clinic visit"), ("血压", "Blood pressure"), _VACCINE)
    (where,) = _told(visit, ("青县人民医院", "Qing County Hospital"))
    kinds = ("visit", "result", "vaccination")
    return [
        (kind, f"11-{22 - n:02}", words, where)
        for n, (kind, words) in enumerate(zip(kinds, what, strict=True))
    ]


def _steps(visit: Visit) -> list[str]:
    return _told(visit, ("填写", "Fill in"), ("核对", "Check"), ("提交", "Send"))


def _charts(visit: Visit) -> list[Any]:
    glucose, share, band, day, year = _told(
        visit,
        ("空腹血糖趋势", "Fasting glucose over time"),
        ("医疗收入结构", "Revenue by kind"),
        ("参考范围", "Reference range"),
        ("日期", "Day"),
        ("年份", "Year"),
    )
    days = [_FIRST_DAY + timedelta(days=n * n * 3) for n in range(9)]
    values = [5.4, 5.9, 6.8, None, 7.4, 6.3, 5.8, 5.5, 3.6]
    trend = line_chart(
        visit.pen,
        "trend",
        glucose,
        [f"{one:%m-%d}" for one in days],
        [Series(glucose, values)],
        unit="mmol/L",
        band=Band(band, 3.9, 6.1),
        at=[one.toordinal() for one in days],
        label_heading=day,
    )
    kinds = _told(visit, *_KINDS)
    parts = [
        Series(kind, [round(base + step * n, 1) for n in range(8)])
        for kind, base, step in zip(kinds, (38, 22, 14, 26), (-1.4, 0.5, -0.4, 1.3), strict=True)
    ]
    years = [str(2019 + n) for n in range(8)]
    stacked = bar_chart(visit.pen, "stacked", share, years, parts, unit="%", label_heading=year)
    return [trend, stacked, *_more_charts(visit, day)]


def _more_charts(visit: Visit, day: str) -> list[Any]:
    compared, curve, cases, here, there = _told(
        visit,
        ("两院门诊人次", "Visits of two hospitals"),
        ("按发病日期的病例数", "Cases by day of onset"),
        ("病例", "Cases"),
        ("人民医院", "County hospital"),
        ("中心医院", "City hospital"),
    )
    months = [f"{n}" for n in range(1, 13)]
    pair = [
        Series(here, [9200 + 700 * math.sin(n) for n in range(12)]),
        Series(there, [10400 + 900 * math.cos(n / 2) for n in range(12)]),
    ]
    lines = line_chart(visit.pen, "compared", compared, months, pair)
    days = [_FIRST_DAY + timedelta(days=n) for n in range(14)]
    counts = [0, 1, 1, 3, 6, 9, 14, 11, 7, 5, 2, 1, 0, 1]
    bars = bar_chart(
        visit.pen,
        "curve",
        curve,
        [f"{one:%m-%d}" for one in days],
        [Series(cases, counts)],
        label_heading=day,
    )
    return [lines, bars]


def _map(visit: Visit) -> Any:
    title, heading, unit = _told(
        visit,
        ("各区县门诊人次", "Visits by county"),
        ("区县", "County"),
        ("千人次", "thousand"),
    )
    names = _told(visit, *((f"{zh}县", f"{en} County") for zh, en in _COUNTIES))
    # Invented divisions: no code of GB/T 2260 begins with 58.
    areas = [
        Area(
            f"5801{number + 1:02}",
            name,
            None if number == 7 else 120 + number * number * 7,
            tile=(number % 4, number // 4),
        )
        for number, name in enumerate(names)
    ]
    return area_map(
        visit.pen,
        "counties",
        title,
        areas,
        boundaries=visit.house.settings.boundaries,
        unit=unit,
        area_heading=heading,
    )


def beat(second: float) -> float:
    """An invented heart at 75 beats a minute, in millivolts."""
    at = second % 0.8
    return sum(
        height * math.exp(-((at - middle) ** 2) / (2 * width**2))
        for middle, width, height in _WAVES
    )


def _ecg(visit: Visit) -> Any:
    curve = [beat(number / 250) for number in range(2500)]
    leads = [
        Lead(name, 250, [round(size * value, 3) for value in curve])
        for name, size in _LEADS.items()
    ]
    (title,) = _told(visit, ("十二导联心电图", "Electrocardiogram of twelve leads"))
    return ecg_drawing(visit.pen, "heart", title, leads)


def _qr(visit: Visit) -> Any:
    (words,) = _told(visit, ("凭证二维码", "QR code of a certificate"))
    return qr_code("https://node.example/check/7GJ2-KQ4M-91XV", words)


def _day(visit: Visit) -> str:
    return tell_date(date(2026, 11, 22), visit.language)


_ALLERGY: Final = ("青霉素", "Penicillin")
_VACCINE: Final = ("乙肝疫苗", "Hepatitis B vaccine")
_CLINICS: Final = (("内科", "Internal medicine"), ("儿科", "Paediatrics"))
_KINDS: Final = (
    ("药品", "Medicines"),
    ("检查化验", "Examinations"),
    ("卫生材料", "Materials"),
    ("医疗服务", "Services"),
)
_COUNTIES: Final = (
    *(("青", "Qing"), ("白", "Bai"), ("云", "Yun"), ("江", "Jiang"), ("松", "Song")),
    *(("竹", "Zhu"), ("梅", "Mei"), ("兰", "Lan"), ("石", "Shi"), ("桥", "Qiao")),
    *(("湖", "Hu"), ("山", "Shan")),
)

SECTIONS: Final[tuple[Section, ...]] = (
    Section("person", Text(zh="患者信息栏", en="Person banner"), _person),
    Section("buttons", Text(zh="按钮与链接", en="Buttons and links"), _nothing),
    Section("fields", Text(zh="表单与错误提示", en="A form with a fault"), _fields),
    Section("questions", Text(zh="编码与文件", en="Codes and files"), _questions),
    Section("tiles", Text(zh="数字卡片", en="Numbers in tiles"), _tiles),
    Section("rows", Text(zh="表格", en="Tables"), _rows),
    Section("timeline", Text(zh="时间线", en="Timeline"), _entries),
    Section("steps", Text(zh="步骤", en="Steps"), _steps),
    Section("notes", Text(zh="提示、标签与筛选", en="Notes, tags and chips"), _nothing),
    Section("states", Text(zh="空、加载与出错状态", en="Empty, loading and error"), _nothing),
    Section("charts", Text(zh="图表", en="Charts"), _charts),
    Section("map", Text(zh="地图", en="Map"), _map),
    Section("ecg", Text(zh="心电图", en="Electrocardiogram"), _ecg),
    Section("qr", Text(zh="二维码", en="QR code"), _qr),
    Section("print", Text(zh="打印与 PDF", en="Print and PDF"), _day),
)
PAGES: tuple[Page, ...] = (patterns, patterns_pdf)
