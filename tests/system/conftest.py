import concurrent.futures
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import lab as lab_module  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: left out of ./amm test, part of ./amm test --all")


def pytest_collection_modifyitems(items):
    """The tests of one file share a server, and these files the ports of this machine's loopback."""
    for item in items:
        name = item.path.stem
        item.add_marker(pytest.mark.xdist_group("loopback" if name in LOOPBACK else name))


LOOPBACK = ("test_acemanager", "test_enrolment", "test_fleet_clocks", "test_gateway_pages", "test_gateway_web", "test_remote_proxy",
            "test_remote_browser", "test_remote_session")


@pytest.fixture(scope="session", autouse=True)
def possible():
    if os.geteuid() != 0 or not os.path.exists("/dev/net/tun"):
        pytest.exit("the system tests need root and /dev/net/tun", returncode=1)


@pytest.fixture
def lab():
    made = lab_module.Lab()
    yield made
    made.close()


@pytest.fixture(scope="module")
def told(request, fleet):
    """The stories of this file (fleet.story) that were selected, all begun at once."""
    chosen = {item.function.story for item in request.session.items
              if item.module is request.module and hasattr(item.function, "story")}
    with concurrent.futures.ThreadPoolExecutor(max_workers=12) as threads:
        yield {story: threads.submit(story, fleet) for story in chosen}


@pytest.fixture(scope="module")
def module_lab():
    made = lab_module.Lab()
    yield made
    made.close()


@pytest.fixture(scope="session")
def pki(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pki")
    for part in (folder, *folder.parents):
        if os.stat(part).st_uid == 0 and part != pathlib.Path("/tmp") and str(part).startswith("/tmp"):
            part.chmod(0o755)  # the server's own user reads what is public in it
    return lab_module.Pki(folder / "pki")


@pytest.fixture(scope="session")
def browser():
    """tests/browser with what it takes from npm."""
    folder = lab_module.TOP / "tests" / "browser"
    if not (folder / "node_modules").exists():
        lab_module.run("npm", "ci", "--prefix", folder, "--ignore-scripts", "--no-audit", "--no-fund", timeout=120)
    return folder
