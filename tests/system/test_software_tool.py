"""ammctl software, on files alone; the openssl program is the second opinion on signatures and hashes."""
import base64
import hashlib

import pytest
from lab import BIN, run

HEAD = 4096


@pytest.fixture
def keys(tmp_path):
    ctl("keygen", tmp_path / "release")
    return tmp_path


def ctl(*argv, **more):
    return run(BIN / "ammctl", "software", *argv, **more)


def sign(folder, key="release", output="image.amm", image=b"image" * 1000, **more):
    (folder / "image").write_bytes(image)
    words = {"kind": "system", "name": "amm-os", "version": "4.17.2", "model": "Virtual", "counter": 3} | more
    options = [word for name, value in words.items() for word in (f"--{name}", value)]
    ctl("sign", "--key", folder / f"{key}.key", *options, "--output", folder / output, folder / "image")
    return folder / output


def refused(folder, package, keys="release.pub"):
    done = ctl("verify", "--keys", folder / keys, package, check=False)
    assert done.returncode == 1
    return done.stderr


def test_a_package_is_verified_by_openssl_too(keys):
    package = sign(keys)
    assert "amm-os 4.17.2 for Virtual" in ctl("verify", "--keys", keys / "release.pub", package).stdout
    whole = package.read_bytes()
    head = whole[:HEAD].rstrip(b"\0")
    text, _, line = head.partition(b"signature: ")
    key = base64.b64decode((keys / "release.pub").read_text().split()[1])
    assert line.split()[0].decode() == hashlib.sha256(key).hexdigest()[:16]
    assert f"sha512: {hashlib.sha512(whole[HEAD:]).hexdigest()}\n".encode() in text
    (keys / "signed").write_bytes(b"amm-software-1\0" + text)
    (keys / "signature").write_bytes(base64.b64decode(line.split()[1]))
    run("openssl", "pkeyutl", "-verify", "-rawin", "-inkey", keys / "release.key", "-in", keys / "signed", "-sigfile", keys / "signature")


def test_what_was_changed_is_refused(keys):
    package = sign(keys)
    whole = bytearray(package.read_bytes())

    def bent(at, text):
        changed = whole.copy()
        changed[at:at + len(text)] = text
        package.write_bytes(changed)
        return refused(keys, package)

    assert "bad-signature" in bent(whole.index(b"counter: 3"), b"counter: 9")
    assert "wrong-hash" in bent(HEAD + 17, b"x")
    assert "malformed" in bent(0, b"AMM-SOFTWARE 2")
    package.write_bytes(whole[:-1])
    assert "wrong-length" in refused(keys, package)
    package.write_bytes(whole + b"x")
    assert "wrong-length" in refused(keys, package)
    package.write_bytes(whole[:100])
    assert "malformed" in refused(keys, package)
    package.write_bytes(b"")
    assert "malformed" in refused(keys, package)


def test_other_keys_are_refused(keys):
    ctl("keygen", keys / "other")
    ctl("keygen", "--development", keys / "development")
    assert "unknown-key" in refused(keys, sign(keys, "other"))
    package = sign(keys, "development", "development.amm")
    assert "unknown-key" in refused(keys, package)
    assert "development-key" in refused(keys, package, "development.pub")  # it says that it is a release


def test_a_key_is_never_written_over(keys):
    was = (keys / "release.key").read_bytes()
    assert (keys / "release.key").stat().st_mode & 0o77 == 0
    assert ctl("keygen", keys / "release", check=False).returncode == 1
    assert (keys / "release.key").read_bytes() == was


def test_bad_words_leave_nothing(keys):
    for words in ({"name": "a b"}, {"version": "new"}, {"counter": -1}, {"model": "a/b"}, {"kind": "rootkit"}, {"days": 0}):
        with pytest.raises(AssertionError):
            sign(keys, output="bad.amm", **words)
        assert not (keys / "bad.amm").exists()
    with pytest.raises(AssertionError):
        sign(keys, output="bad.amm", image=b"")
    assert not (keys / "bad.amm").exists()


def test_successors_and_permits_are_signed(keys):
    ctl("keygen", keys / "next")
    ctl("successor", "--key", keys / "release.key", "--output", keys / "next.successor", "--comment", "key of 2027", keys / "next.pub")
    text = (keys / "next.successor").read_text()
    assert (keys / "next.pub").read_text().split()[1] in text and "signature: " in text
    ctl("permit", "--key", keys / "release.key", "--serial", "VGW-0001", "--name", "amm-os", "--version", "4.16", "--counter", 2,
        "--output", keys / "permit")
    assert "serial: VGW-0001\n" in (keys / "permit").read_text()
