"""The picture of an epidemic over the real guard: each number opens its cases, and counts nobody
whom its reader does not see.
"""

from __future__ import annotations

import re
from datetime import timedelta

from clinic import Clinic
from reporting import BESIDE, entered, now_of, pages_of, settle, step


async def test_each_number_opens_its_cases(clinic: Clinic) -> None:
    county = await settle(clinic)
    pages = pages_of(county)
    doctor, checker = await county.enter("dr-li", pages), await county.enter("pre-sun", pages)
    first = await entered(county, doctor)
    await entered(county, doctor, disease="rubella", person__area=BESIDE)
    carrier = "https://quanmin.example/fhir/CodeSystem/infection-case-class|carrier"
    await entered(county, doctor, disease="diphtheria", case__class=carrier)
    gone = await entered(county, doctor, disease="mumps")
    await step(checker, gone, "return_inside", words="A mistake")
    await step(doctor, gone, "withdraw", words="A mistake")
    centre = await county.enter("cdc-wu", pages)
    now = now_of(county)
    time = f"since={now - timedelta(days=30):%Y-%m-%d}&until={now:%Y-%m-%d}"
    page = await centre.get(f"/epidemic?{time}")
    assert page.status_code == 200, page.text
    assert "2 cases</a>" in page.text
    listed = await centre.get(f"/epidemic/counts?{time}")
    links = re.findall(r'href="(/epidemic/cases\?[^"]+)">2</a>', listed.text)
    assert len(links) == 1
    rows = await centre.get(links[0].replace("&amp;", "&"))
    assert rows.text.count('href="/infectious/') == 2
    areas = await centre.get(f"/epidemic/areas.csv?{time}")
    assert sorted(areas.text.split()[1:]) == sorted(
        line for line in areas.text.split()[1:] if line.startswith(("580101,", "580102,"))
    )
    one = await centre.get(f"/epidemic/cases?disease=measles&{time}")
    assert one.text.count('href="/infectious/') == 1
    assert first in one.text
    sent = await centre.get(f"/epidemic?by=report&{time}")
    assert "No case was reported in this time." in sent.text
    await step(checker, first, "check")
    sent = await centre.get(f"/epidemic?by=report&span=week&lang=zh&{time}")
    assert "1 例" in sent.text
    # The city's centre has both counties; the one beside sees nothing of the hospital's.
    city, beside = await county.enter("cdc-gao", pages), await county.enter("cdc-qi", pages)
    assert (await city.get(f"/epidemic/cases?{time}")).text.count('href="/infectious/') == 2
    assert "No case was reported" in (await beside.get(f"/epidemic?{time}")).text
    for asked in ("since=never", "since=2026-01-02&until=2026-01-01", "by=x", "disease=flu",
                  "area=58x", "since=2020-01-01&until=2026-01-01"):  # fmt: skip
        answer = await centre.get(f"/epidemic?{asked}")
        assert answer.status_code == 400, asked
    assert (await doctor.get("/epidemic")).status_code == 403
    # One case of measles is nothing unusual, one of cholera is.
    today = f"until={now:%Y-%m-%d}&lang=en"
    assert "Nowhere more than usual." in (await centre.get(f"/epidemic/signals?{today}")).text
    await step(checker, await entered(county, doctor, disease="cholera"), "check")
    told = await centre.get(f"/epidemic/signals?{today}")
    (link,) = re.findall(r'href="(/epidemic/cases\?[^"]+)">1</a>', told.text)
    assert "any case is one" in told.text
    cases = (await centre.get(link.replace("&amp;", "&"))).text
    assert cases.count('href="/infectious/') == 1
    assert "Cholera" in cases
    assert "Cholera" in (await centre.get(f"/epidemic/signals.csv?{today}")).text
    assert "Cholera" not in (await beside.get(f"/epidemic/signals?{today}")).text
    assert (await centre.get("/epidemic/signals?until=soon")).status_code == 400
