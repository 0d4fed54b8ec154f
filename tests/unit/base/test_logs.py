"""A log line is JSON, says when and where, and cannot name a person."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from typing import Any

import pytest

from quanmin.base.logs import JsonLines, correlation_id, write_logs

NAME = "张伟"


@pytest.fixture
def lines() -> tuple[logging.Logger, io.StringIO]:
    written = io.StringIO()
    logger = logging.getLogger("quanmin.test")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    target = logging.StreamHandler(written)
    target.setFormatter(JsonLines())
    logger.handlers[:] = [target]
    return logger, written


def last(written: io.StringIO) -> dict[str, Any]:
    return dict(json.loads(written.getvalue().splitlines()[-1]))


def test_a_line_says_when_how_grave_and_from_where(
    lines: tuple[logging.Logger, io.StringIO],
) -> None:
    logger, written = lines
    logger.warning("disk is nearly full", extra={"free_bytes": 12})
    line = last(written)
    assert line.pop("at").endswith("+00:00")
    assert line == {
        "severity": "warning",
        "source": "quanmin.test",
        "text": "disk is nearly full",
        "free_bytes": 12,
        "process": os.getpid(),
    }


def test_only_listed_fields_are_written(lines: tuple[logging.Logger, io.StringIO]) -> None:
    logger, written = lines
    logger.info("request answered", extra={"status": 200, "patient": NAME, "query": NAME})
    assert NAME not in written.getvalue()
    assert last(written)["status"] == 200


def test_arguments_of_a_message_are_not_written(
    lines: tuple[logging.Logger, io.StringIO],
) -> None:
    logger, written = lines
    logger.info("no such person: %s", NAME)
    assert last(written)["text"] == "no such person: %s"


def test_an_exception_leaves_its_type_and_place_but_not_its_text(
    lines: tuple[logging.Logger, io.StringIO],
) -> None:
    logger, written = lines
    try:
        int(NAME)
    except ValueError:
        logger.exception("unexpected")
    line = last(written)
    assert line["exception"] == "ValueError"
    assert line["trace"][-1].startswith("test_logs.py:")
    assert NAME not in json.dumps(line, ensure_ascii=False)


def test_the_correlation_id_of_the_request_is_in_its_lines(
    lines: tuple[logging.Logger, io.StringIO],
) -> None:
    logger, written = lines
    token = correlation_id.set("a1b2")
    logger.info("request answered")
    correlation_id.reset(token)
    assert last(written)["correlation"] == "a1b2"
    logger.info("request answered")
    assert "correlation" not in last(written)


def test_a_structure_in_a_field_is_not_spelled_out(
    lines: tuple[logging.Logger, io.StringIO],
) -> None:
    logger, written = lines
    logger.info("request answered", extra={"actor": {"name": NAME}, "route": "x" * 500})
    assert last(written)["actor"] == "dict"
    assert len(last(written)["route"]) == 200


def test_the_process_writes_json_and_hides_the_chatter_of_libraries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root, ours = logging.getLogger(), logging.getLogger("quanmin")
    before = (root.handlers[:], root.level, ours.level)
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    write_logs()
    logging.getLogger("httpx").info("GET /Patient?name=someone")
    logging.getLogger("quanmin.node").info("node started", extra={"port": 8080})
    root.handlers[:], root.level, ours.level = before
    assert [json.loads(line)["text"] for line in written.getvalue().splitlines()] == [
        "node started"
    ]
