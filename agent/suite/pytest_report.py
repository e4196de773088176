"""A pytest plugin that reports what became of each test, one JSON object a line, as it happens.

It writes to the file that the environment names, and does nothing where none is named: programs that tests start, and the
workers of pytest-xdist, do not see the name. It must load in any Python and pytest that people still have.
"""

import json
import os

import pytest

_PATH = os.environ.pop("CWM_TEST_REPORT", None)
_PROCESS = os.getpid()
_PENDING = []
_LONGEST = 16384
# The report is read up to a bound: of many failures the later ones say less, so that the end is within it.
_SHORTER = ((200, _LONGEST), (4000, 1024))
_SHORTEST = 256
_MESSAGES = [0]


# The functions are bound here, because tests may replace them with pretended file systems.
def _flush(_open=os.open, _write=os.write, _close=os.close, _process=os.getpid, _flags=os.O_WRONLY | os.O_APPEND | os.O_CREAT):
    if _PATH is None or _process() != _PROCESS or not _PENDING:
        return
    text = "".join(_PENDING).encode("utf-8")
    del _PENDING[:]
    try:
        report = _open(_PATH, _flags, 0o600)
        try:
            while text:
                text = text[_write(report, text) :]
        finally:
            _close(report)
    except OSError:
        pass


def _say(_dumps=json.dumps, **entry):
    if _PATH is not None:
        _PENDING.append(_dumps(entry) + "\n")


def _text(report):
    if not (report.failed or report.skipped):
        return ""
    try:
        longrepr = report.longrepr
        if isinstance(longrepr, tuple):
            text = str(longrepr[-1])
        else:
            text = report.longreprtext if hasattr(report, "longreprtext") else str(longrepr)
    except Exception:
        return ""
    _MESSAGES[0] += 1
    most = _SHORTEST
    for count, longest in _SHORTER:
        if _MESSAGES[0] <= count:
            most = longest
            break
    if len(text) > most:
        text = text[: most // 2] + "\n[...]\n" + text[-(most // 2) :]
    return text


def pytest_sessionstart(session):
    _say(event="begin")
    _flush()


def pytest_runtest_logstart(nodeid, location):
    _say(event="start", id=nodeid)
    _flush()


def pytest_runtest_logreport(report):
    if report.when != "call" and report.outcome == "passed":
        return
    _say(
        event="test",
        id=report.nodeid,
        when=report.when,
        outcome=report.outcome,
        expected=hasattr(report, "wasxfail"),
        seconds=float(getattr(report, "duration", 0.0)),
        message=_text(report),
    )


def pytest_runtest_logfinish(nodeid, location):
    _say(event="end", id=nodeid)
    _flush()


def pytest_collectreport(report):
    if report.outcome != "passed":
        _say(event="collect", id=report.nodeid, outcome=report.outcome, message=_text(report))
        _flush()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session, exitstatus):
    _say(event="finish", status=int(exitstatus))
    _flush()
