"""Makes a DocumentReference of each file that a form was answered with and that is not stored yet.

A file is not put into the response: it would be sealed again with every draft and opened with every
look at the answers. Nor is it a Binary: R4 has that in nobody's compartment, so the guard could not
tell whose it is.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator

from quanmin.fhir.json import Json
from quanmin.workflow.forms.filling import Filling


def documents(filling: Filling) -> Iterator[Json]:
    """The entries of a transaction that stores them; the answers name them by the same address,
    which the store makes that of the record.
    """
    files, head = filling.around.files, filling.response()
    if files is None:
        return
    for place in filling.open_places():
        for answer in place.answers:
            told = answer.get("valueAttachment") or {}
            content = files.content(str(told.get("url", "")))
            if content is None:
                continue
            inside = {name: told[name] for name in told if name != "url"}
            resource = {
                "resourceType": "DocumentReference",
                "status": "current",
                "type": {"text": place.item.words.text or place.item.link_id},
                "date": filling.around.now.isoformat(timespec="seconds"),
                "content": [{"attachment": {**inside, "data": base64.b64encode(content).decode()}}],
            }
            if head.get("subject"):
                resource["subject"] = head["subject"]
            request = {"method": "POST", "url": "DocumentReference"}
            yield {"fullUrl": told["url"], "resource": resource, "request": request}
