#!/usr/bin/env python3
"""Turns comparisons around, one at a time, and expects the tests to notice.

The comparisons are those that keep strangers out: the handshake cookie, the control-channel wrap, the replay
windows, the data channel's authentication and the inner checks (tunnel.py); those that frame HTTP messages, that say
who gets a certificate and whose time is taken, who may do what in the manager, and those of ACEmanager's pages
(services.py). Each mutant is built in a scratch copy of the tree. First the tests named beside it run, which is quick;
a mutant that they let live must be caught by the whole unit and golden suites. Exit status 1 if one survives, does not
compile, or is no longer in the source.

    mutate.py [-k WORD] [-l] [--scratch DIR]

-k: only mutants whose file or text contains WORD; -l: list them. The scratch directory is kept if it is given.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile

import services
import tunnel

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TEST_SECONDS = 60  # a mutant may loop for ever; that is noticed, too

TABLE = services.TABLE + tunnel.TABLE


def run(command, **options):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def copy_tree(scratch):
    """Writes only what differs, with a new date: the objects there may be those of a mutant."""
    listed = subprocess.check_output(
        ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
    for name in listed.decode().split("\0"):
        source = os.path.join(ROOT, name)
        if name and os.path.isfile(source):
            target = os.path.join(scratch, "tree", name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if not os.path.isfile(target) or read(target) != read(source):
                shutil.copyfile(source, target)
                shutil.copymode(source, target)


class Scratch:
    def __init__(self, path):
        self.tree = os.path.join(path, "tree")
        self.build = os.path.join(path, "build")
        copy_tree(path)
        if not os.path.exists(os.path.join(self.build, "build.ninja")):
            self.must(["meson", "setup", self.build, self.tree, "-Dtests=true", "-Dbuildtype=debug", "-Dwerror=false"])

    def must(self, command):
        result = run(command)
        if result.returncode != 0:
            sys.exit(result.stdout[-4000:] + "\nmutate: " + " ".join(command) + " failed")

    def compile(self, programs):
        return run(["ninja", "-j2", "-C", self.build] + programs)

    def passes(self, program):
        try:
            return run([os.path.join(self.build, program)], timeout=TEST_SECONDS).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def suites_pass(self):
        return run(["meson", "test", "-C", self.build, "--suite", "unit", "--suite", "golden",
                    "--no-rebuild"]).returncode == 0


def try_mutant(scratch, path, programs, text, replacement):
    """'caught', or what is wrong."""
    where = os.path.join(scratch.tree, path)
    with open(where, encoding="utf-8") as f:
        source = f.read()
    if source.count(text) != 1:
        return "the text stands %d times in the file: mend the table" % source.count(text)
    try:
        with open(where, "w", encoding="utf-8") as f:
            f.write(source.replace(text, replacement))
        built = scratch.compile(programs)
        if built.returncode != 0:
            return "does not compile\n" + built.stdout[-1500:]
        if not all(scratch.passes(program) for program in programs):
            return "caught"
        built = scratch.compile([])
        if built.returncode != 0:
            return "does not compile\n" + built.stdout[-1500:]
        return "SURVIVED" if scratch.suites_pass() else "caught"
    finally:
        with open(where, "w", encoding="utf-8") as f:
            f.write(source)


def chosen(word):
    for path, programs, mutations in TABLE:
        for text, replacement in mutations:
            if word in path or word in text:
                yield path, programs, text, replacement


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-k", default="", metavar="WORD")
    parser.add_argument("-l", action="store_true")
    parser.add_argument("--scratch", metavar="DIR")
    options = parser.parse_args()
    mutants = list(chosen(options.k))
    if options.l:
        for path, _, text, replacement in mutants:
            print("%s: %r -> %r" % (path, text, replacement))
        return 0
    directory = os.path.abspath(options.scratch) if options.scratch else tempfile.mkdtemp(prefix="amm-mutate-")
    bad = 0
    try:
        os.makedirs(directory, exist_ok=True)
        scratch = Scratch(directory)
        programs = sorted({program for _, some, _, _ in mutants for program in some})
        scratch.must(["ninja", "-j2", "-C", scratch.build] + programs)
        for program in programs:
            if not scratch.passes(program):
                sys.exit("mutate: %s fails without any mutation" % program)
        for path, some, text, replacement in mutants:
            verdict = try_mutant(scratch, path, some, text, replacement)
            if verdict != "caught":
                bad += 1
                print("%s: %r -> %r: %s" % (path, text, replacement, verdict), flush=True)
    finally:
        if not options.scratch:
            shutil.rmtree(directory, ignore_errors=True)
    print("%d mutants, %d caught, %d not" % (len(mutants), len(mutants) - bad, bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
