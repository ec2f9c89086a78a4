"""gateway-web/embed.py: a template that could be written wrongly does not build."""
import subprocess
import sys

import pytest
from lab import TOP

BAD = {
    "script": "<script>var a = '{{x}}';</script>",
    "script without a value": "<script>a()</script>",
    "style": "<style>a { color: {{x}} }</style>",
    "handler": '<p onclick="a({{x}})">a</p>',
    "fixed handler": '<p onclick="a()">a</p>',
    "style attribute": '<p style="color: red">a</p>',
    "start of a link": '<a href="{{x}}">a</a>',
    "start of a form's target": '<form action="{{x}}"></form>',
    "start of a picture": '<img src="{{x}}">',
    "unquoted": "<p title={{x}}>a</p>",
    "single quotes": "<p title='{{x}}'>a</p>",
    "name of a tag": "<{{x}}>a</p>",
    "name of an attribute": "<p {{x}}>a</p>",
    "refresh": '<meta http-equiv="refresh" content="{{x}}">',
    "srcdoc": '<iframe srcdoc="{{x}}"></iframe>',
    "section that ends elsewhere": '<p title="{{#x}}a">{{/x}}',
    "section without an end": "<p>{{#x}}</p>",
    "end without a section": "<p>{{/x}}</p>",
    "crossed sections": "{{#x}}{{#y}}{{/x}}{{/y}}",
    "no mark": "<p>{{x</p>",
    "unescaped": "<p>{{{x}}}</p>",
    "another kind": "<p>{{&x}}</p>",
    "unknown template": "{{>nothing}}",
    "template within a tag": '<p title="{{>page}}">a</p>',
    "unknown file": '<link href="{{asset nothing.css}}">',
    "ends within a tag": "<p",
}
GOOD = ('<a href="/x/{{path}}" title="{{t}}"{{#c}} aria-current="page"{{/c}} class="{{#a}}b{{/a}}">{{text}}</a>'
        '<script src="{{asset a.js}}" defer></script><img src="{{asset b.svg}}#{{x}}"><textarea>{{t}}</textarea>')


def embed(folder, text):
    (folder / "page.html").write_text(text)
    (folder / "a.js").write_text("'use strict';")
    (folder / "b.svg").write_text("<svg/>")
    return subprocess.run([sys.executable, TOP / "gateway-web" / "embed.py", folder / "out.c", folder / "page.html",
                           folder / "a.js", folder / "b.svg"], capture_output=True, text=True)


@pytest.mark.parametrize("name", BAD)
def test_what_could_be_written_wrongly_does_not_build(tmp_path, name):
    done = embed(tmp_path, BAD[name])
    assert done.returncode != 0 and done.stderr.startswith("page.html: "), done.stderr
    assert not (tmp_path / "out.c").exists()


def test_what_is_fine_builds(tmp_path):
    done = embed(tmp_path, GOOD)
    assert done.returncode == 0, done.stderr
    assert '"page", NULL' in (tmp_path / "out.c").read_text()
