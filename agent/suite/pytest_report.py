"""A pytest plugin that reports what became of each test, one JSON object a line, as it happens, and runs only the tests that are wanted.

It writes to the file that the environment names, and does nothing where none is named: programs that tests start, and the
workers of pytest-xdist, do not see the name. Another name is that of a list of tests, by the names that its report had for them; where there is
one, others are deselected. Workers are told of it by what starts them. A third name is that of a folder: then each test's files of code in that folder
are reported. It must load in any Python and pytest that people still have.
"""

import io
import json
import os
import re
import sys

import pytest

_PATH = os.environ.pop("CWM_TEST_REPORT", None)
_SELECTION = os.environ.pop("CWM_TEST_SELECTION", None)
_TOUCHING = os.environ.pop("CWM_TEST_TOUCHING", None)
_PROCESS = os.getpid()
# Tests may start sessions of their own in this process, which are not ours to choose in.
_SESSIONS = []
_CHOSEN = []
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


# A name as the reader of the report keeps it.
_LONGEST_NAME = 2000
_ADDRESS = re.compile(u"( at 0x)[0-9a-fA-F]{6,}")


def _stable(name):
    text = name if isinstance(name, type(u"")) else name.decode("utf-8", "replace")
    start = text.strip().encode("utf-8", "replace")[:_LONGEST_NAME].decode("utf-8", "ignore")
    return _ADDRESS.sub(r"\1...", start).replace(u"\n", u" ").replace(u"\r", u" ")


def _is_wanted(name, wanted):
    if _stable(name) in wanted:
        return True
    # Of a module or class that could not be loaded, all tests are wanted.
    parts = name.split("::")
    return any("::".join(parts[:count]) in wanted for count in range(1, len(parts)))


def _wanted(config, _open=io.open, _load=json.load):
    path = _SELECTION
    if path is None:
        handed = getattr(config, "workerinput", None) or getattr(config, "slaveinput", None) or {}
        path = handed.get("cwm_selection")
    if path is None:
        return None
    try:
        with _open(path, encoding="utf-8") as selection:
            return set(_load(selection))
    except (EnvironmentError, ValueError):
        return None


def _chose():
    if not _CHOSEN:
        _CHOSEN.append(True)
        _say(event="select")
        _flush()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    if _SELECTION is not None:
        handed = node.workerinput if hasattr(node, "workerinput") else node.slaveinput
        handed["cwm_selection"] = _SELECTION
        _chose()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(session, config, items):
    wanted = _wanted(config) if session in _SESSIONS else None
    # Where a module that cannot be loaded keeps every test from running, nothing is left out.
    stopped = session.testsfailed and not getattr(config.option, "continue_on_collection_errors", True)
    if wanted is None or stopped:
        return
    chosen, others = [], []
    for item in items:
        (chosen if _is_wanted(item.nodeid, wanted) else others).append(item)
    if others:
        _chose()
        config.hook.pytest_deselected(items=others)
        items[:] = chosen


class _Monitor(object):
    """Hears of each function that begins, once a test, beside whatever else watches."""

    def __init__(self):
        self.monitoring = sys.monitoring
        self.tool = next(tool for tool in (4, 3) if self.monitoring.get_tool(tool) is None)
        self.monitoring.use_tool_id(self.tool, "cwm")
        self.codes = set()
        begins = self.monitoring.events.PY_START
        self.monitoring.register_callback(self.tool, begins, self._begun)
        self.monitoring.set_events(self.tool, begins)

    def _begun(self, code, offset):
        self.codes.add(code.co_filename)
        return self.monitoring.DISABLE

    def begin(self):
        self.codes.clear()
        self.monitoring.restart_events()

    def end(self):
        return set(self.codes)


class _Profiler(object):
    """The same by the profiler of older Pythons. Where a test has one of its own, the test's files are not known."""

    def __init__(self):
        import cProfile

        self.make = cProfile.Profile
        self.profile = None

    def begin(self):
        self.profile = None
        if sys.getprofile() is None:
            self.profile = self.make(subcalls=False, builtins=False)
            self.profile.enable()

    def end(self):
        if self.profile is None:
            return set()
        self.profile.disable()
        codes = (entry.code for entry in self.profile.getstats())
        return set(code.co_filename for code in codes if hasattr(code, "co_filename"))


_WATCH = []
_FILES = {}


def _watch():
    if _TOUCHING is None or _PATH is None or _WATCH or os.getpid() != _PROCESS:
        return
    try:
        _WATCH.append(_Monitor() if hasattr(sys, "monitoring") else _Profiler())
    except Exception:
        pass


def _touched(nodeid, _real=os.path.realpath, _separator=os.sep):
    numbers = []
    root = _real(_TOUCHING) + _separator
    for name in sorted(_WATCH[0].end()):
        if name not in _FILES:
            path = _real(name)
            inside = path.startswith(root) and not name.startswith("<")
            _FILES[name] = len(_FILES) if inside else None
            if _FILES[name] is not None:
                _say(event="file", number=_FILES[name], path=path[len(root) :])
        if _FILES[name] is not None:
            numbers.append(_FILES[name])
    _say(event="touched", id=nodeid, files=numbers)


def pytest_sessionstart(session):
    if not _SESSIONS:
        _SESSIONS.append(session)
        _watch()
    _say(event="begin")
    _flush()


def pytest_runtest_logstart(nodeid, location):
    _say(event="start", id=nodeid)
    _flush()
    if _WATCH:
        _WATCH[0].begin()


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
    if _WATCH:
        _touched(nodeid)
    _say(event="end", id=nodeid)
    _flush()


def pytest_collectreport(report):
    if report.outcome != "passed":
        _say(event="collect", id=report.nodeid, outcome=report.outcome, message=_text(report))
        _flush()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session, exitstatus):
    # That nothing is left of what was chosen from is no failure, which would keep a later command from running.
    if int(exitstatus) == 5 and _CHOSEN and session in _SESSIONS:
        exitstatus = session.exitstatus = 0
    _say(event="finish", status=int(exitstatus))
    _flush()
