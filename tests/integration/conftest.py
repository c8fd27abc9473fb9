"""What every integration test may use: a short temp folder, certificates, a
scripted responder, a clock to move; and the map from tests to feature rows."""
import os
import pathlib
import shutil
import signal
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))

import harness  # noqa: E402
import pki as pki_module  # noqa: E402
from responder import Responder  # noqa: E402
from world import World  # noqa: E402

TEST_MAX_S = 120     # a test that hangs must not hang the run


def pytest_configure(config):
    for line in (
            "row(text): the row of a feature table this test proves",
            "short: also run under the sanitizers in CI",
            "soak: minutes to hours; make check-long only",
            "limit(seconds): may take longer than two minutes",
            "must_run: may not skip as root on Debian, without a sanitizer"):
        config.addinivalue_line("markers", line)


def pytest_collection_modifyitems(items):
    """ROWS_OUT names a file: gets one line "row<TAB>test" per mark."""
    path = os.environ.get("ROWS_OUT")
    if not path:
        return
    rows = set()
    for item in items:
        for mark in item.iter_markers("row"):
            rows.add((mark.args[0], item.nodeid.split("[")[0]))
    with open(path, "w") as file:
        for row, test in sorted(rows):
            file.write(f"{row}\t{test}\n")


def _is_debian_root():
    return os.geteuid() == 0 and not harness.is_sanitized() and \
        os.path.exists("/etc/debian_version")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    report = outcome.get_result()
    if report.skipped and not hasattr(report, "wasxfail") and \
            item.get_closest_marker("must_run") and _is_debian_root():
        report.outcome = "failed"
        report.longrepr = f"may not skip here: {report.longrepr[-1]}"


def _too_long(*_):
    raise TimeoutError("the test takes too long")


@pytest.fixture(autouse=True)
def time_limit(request):
    mark = request.node.get_closest_marker("limit")
    seconds = mark.args[0] if mark else TEST_MAX_S
    if request.node.get_closest_marker("soak"):
        seconds = max(seconds, 3600)
    if harness.is_sanitized():
        seconds *= 3
    before = signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def folder():
    """A new folder with a short name (socket paths end at 107 bytes), open to
    read for other users' peers."""
    made = pathlib.Path(tempfile.mkdtemp(prefix="t-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="session")
def pki():
    """root -> CA -> leaves; keys and CAs are shared by the whole run."""
    return pki_module.Pki()


@pytest.fixture
def clock(folder):
    return harness.Clock(folder)


@pytest.fixture
def responder(pki):
    """A good responder until it is told otherwise."""
    with Responder(pki) as made:
        yield made


@pytest.fixture
def world(folder, pki, responder):
    return World(folder, pki, responder)


@pytest.fixture
def moving_world(folder, pki, responder, clock):
    """One whose clock can be moved."""
    return World(folder, pki, responder, clock)
