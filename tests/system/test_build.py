"""What the build promises: the lower layers do no I/O, the programs are hardened, no shell is ever called."""
import re
import subprocess

import pytest
from lab import BIN, TOP, run

SANS_IO = ("base", "crypto", "data", "proto", "http/codec", "domain")
FORBIDDEN = re.compile(r"^(socket|bind|connect|accept4?|send(to|msg|mmsg)?|recv(from|msg|mmsg)?|read|write|open(at)?|poll|"
                       r"epoll_\w+|ioctl|clock_\w+|time|gettimeofday|nanosleep|usleep|sleep|pthread_(create|mutex_\w+|cond_\w+)|"
                       r"printf|fprintf|vfprintf|puts|perror|fopen|syslog|getenv|system|popen|fork|exec\w+)$")
PROGRAMS = ("amm-tunneld", "ammd", "amm-cad", "amm-proxyd", "ammctl", "ammer", "acemanager", "amm-fleet")
HELPERS = ("amm-sheet",)  # started by other programs only


def undefined(archive):
    text = run("nm", "-u", "--format=posix", archive).stdout
    return {line.split()[0].split("@")[0] for line in text.splitlines() if " U" in line}


@pytest.mark.parametrize("layer", SANS_IO)
def test_layer_does_no_io(layer):
    archive = TOP / "build" / "src" / layer / f"lib{layer.replace('/', '_')}.a"
    bad = sorted(s for s in undefined(archive) if FORBIDDEN.match(s))
    assert bad == []


def test_the_look_finds_io_where_there_is_some():
    assert any(FORBIDDEN.match(s) for s in undefined(TOP / "build" / "src" / "io" / "libio.a"))


@pytest.mark.parametrize("program", PROGRAMS + HELPERS)
def test_program_is_hardened(program):
    headers = run("readelf", "-W", "-l", "-h", "-d", BIN / program).stdout
    assert re.search(r"Type:\s+DYN", headers), "not position independent"
    assert "GNU_RELRO" in headers and "BIND_NOW" in headers
    assert re.search(r"GNU_STACK\s+\S+\s+\S+\s+\S+\s+\S+\s+\S+\s+RW\s", headers), "executable stack"
    symbols = run("nm", "-D", BIN / program).stdout
    assert "__stack_chk_fail" in symbols


@pytest.mark.parametrize("program", PROGRAMS + HELPERS)
def test_program_calls_no_shell(program):
    symbols = {line.split()[-1].split("@")[0] for line in run("nm", "-D", "-u", BIN / program).stdout.splitlines()}
    assert symbols.isdisjoint({"system", "popen", "strcpy", "sprintf", "gets"})


def test_files_and_functions_stay_small():
    """800 lines a file: then a noun wants out."""
    files = subprocess.run(["git", "ls-files", "*.c", "*.h", "*.py"], cwd=TOP, capture_output=True, text=True).stdout.split()
    long = [f for f in files if len((TOP / f).read_text().splitlines()) > 800]
    assert long == []


def test_sql_stands_in_the_store_only():
    sql = re.compile(r'"\s*(SELECT|INSERT INTO|UPDATE \w+ SET|DELETE FROM|CREATE TABLE|PRAGMA) ')
    files = subprocess.run(["git", "ls-files", "src/*.c", "src/*.h"], cwd=TOP, capture_output=True, text=True).stdout.split()
    found = {f for f in files if sql.search((TOP / f).read_text())}
    assert found and all(f.startswith("src/store/") for f in found), found


@pytest.mark.parametrize("program", PROGRAMS)
def test_program_says_what_it_is_and_how_to_use_it(program):
    done = run(BIN / program, "--help", check=False)
    assert done.returncode == 0 and "usage" in (done.stdout + done.stderr).lower()


def test_the_page_of_settings_is_what_the_programs_print():
    """Cure: the command that the page names."""
    printed = [run(BIN / program, "--print-doc").stdout for program in ("amm-tunneld", "ammd", "amm-cad", "amm-proxyd", "ammer", "acemanager")]
    page = (TOP / "doc" / "configuration.md").read_text()
    assert page[page.index("\n## amm-tunneld\n") + 1 :] == "\n".join(printed)
