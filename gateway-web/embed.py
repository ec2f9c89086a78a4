#!/usr/bin/env python3
"""Puts the pages into the program: embed.py OUT.c FILE...

Templates (*.html) are checked first, so that a page which could be written wrongly does not build:

- a value stands in text, or in an attribute value within double quotes; not in the name of a tag or an
  attribute, in a script or a style, and not in an attribute that is a program (on..., style, srcdoc)
- an attribute that is a link begins with a fixed "/" or "#" before any value
- sections end where they began: in the same kind of place
- nothing inline: no <script> with content, no style attribute, no handler (the content security policy forbids it)
- each template that is named is there

Other files are served as they are, under a name that has a hash of their content. They may name each other
as {{asset NAME}}, templates too.
"""
import hashlib
import re
import sys
from pathlib import Path

TYPES = {'.css': 'text/css; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.svg': 'image/svg+xml'}
LINKS = {'href', 'src', 'action', 'formaction'}
PROGRAMS = re.compile(r'on\w+|style|srcdoc|content')
MARK = re.compile(r'\{\{([#^/>]?)([a-z0-9_.-]+)\}\}')


class Wrong(Exception):
    pass


class Place:
    """Where in HTML we are: as much of the tokenizer as our own templates need."""

    def __init__(self):
        self.state, self.tag, self.attribute, self.value = 'text', '', '', ''

    def key(self):
        return self.state, self.tag if self.state != 'text' else '', self.attribute if self.state == 'value' else ''

    def feed(self, text):
        for c in text:
            getattr(self, 'in_' + self.state)(c)

    def in_text(self, c):
        if c == '<':
            self.state, self.tag = 'tag_name', ''

    def in_tag_name(self, c):
        if c == '>':
            self.close()
        elif c.isspace():
            self.state, self.attribute = 'tag', ''
        elif c in '"\'':
            raise Wrong('a quote in the name of a tag')
        else:
            self.tag += c.lower()
            if self.tag == '!--':
                self.state = 'comment'
                self.value = ''

    def in_comment(self, c):
        self.value = (self.value + c)[-3:]
        if self.value == '-->':
            self.state, self.tag = 'text', ''

    def in_tag(self, c):
        if c == '>':
            self.close()
        elif c.isspace() or c == '/':
            self.attribute = ''
        elif c == '=':
            self.state = 'equals'
        else:
            self.attribute += c.lower()

    def in_equals(self, c):
        if c != '"':
            raise Wrong(f'{self.attribute}: attribute values stand in double quotes')
        if self.attribute == 'style' or self.attribute.startswith('on'):
            raise Wrong(f'{self.attribute}: not allowed by the content security policy')
        self.state, self.value = 'value', ''

    def in_value(self, c):
        if c == '"':
            self.state, self.attribute = 'tag', ''
        else:
            self.value += c

    def close(self):
        self.state, self.attribute = 'text', ''

    def take_value(self, name):
        if self.state == 'text':
            return
        if self.state != 'value':
            raise Wrong(f'{{{{{name}}}}} in {self.state.replace("_", " ")}')
        if PROGRAMS.fullmatch(self.attribute):
            raise Wrong(f'{{{{{name}}}}} in {self.attribute}')
        if self.attribute in LINKS and not self.value.startswith(('/', '#')):
            raise Wrong(f'{{{{{name}}}}} at the start of a link')
        self.value += '?'


def check(name, text, names):
    place, stack, at = Place(), [], 0
    for mark in MARK.finditer(text):
        place.feed(text[at:mark.start()])
        at = mark.end()
        kind, what = mark.groups()
        if kind in ('#', '^'):
            stack.append((what, place.key()))
        elif kind == '/':
            if not stack or stack[-1][0] != what:
                raise Wrong(f'{{{{/{what}}}}} without its beginning')
            if stack.pop()[1] != place.key():
                raise Wrong(f'{{{{/{what}}}}} in another place than its beginning')
        elif kind == '>':
            if what not in names:
                raise Wrong(f'no template {what}')
            if place.state != 'text':
                raise Wrong(f'template {what} within a tag')
        else:
            place.take_value(what)
    place.feed(text[at:])
    if stack:
        raise Wrong(f'{{{{#{stack[-1][0]}}}}} without its end')
    if place.state != 'text':
        raise Wrong('ends within a tag')
    rest = MARK.sub('', text)
    if '{{{' in text or '}}}' in text:
        raise Wrong('three braces: there is no way to write a value unescaped')
    if '{{' in rest or '}}' in rest:
        raise Wrong('a mark that is none: ' + rest[max(rest.find('{{'), 0):][:40])
    if re.search(r'<script(?![^>]*\ssrc=)|<style', rest):
        raise Wrong('inline script or style')


def strip(text):
    """Without indentation and comments."""
    text = re.sub(r'<!--.*?-->\n?', '', text, flags=re.S)
    return re.sub(r'\n\s*', '\n', text).strip() + '\n'


def literal(data):
    lines = []
    for start in range(0, len(data), 96):
        piece = ''
        for c in data[start:start + 96]:
            if c in b'"\\?':
                piece += '\\' + chr(c)
            elif 32 <= c < 127:
                piece += chr(c)
            else:
                piece += f'\\{c:03o}'
        lines.append(f'    "{piece}"')
    return '\n'.join(lines) or '    ""'


def main(out, paths):
    templates, assets = {}, {}
    for path in map(Path, paths):
        (templates if path.suffix == '.html' else assets)[path.name] = path.read_text()
    served = {}

    def asset(match):
        if match[1] not in served:
            raise Wrong(f'no asset {match[1]} (or it comes later)')
        return '/assets/' + served[match[1]][0]

    entries = []
    for name in sorted(assets, key=lambda n: ('.svg', '.css', '.js').index(Path(n).suffix)):
        try:
            data = re.sub(r'\{\{asset ([\w.-]+)\}\}', asset, assets[name]).encode()
        except Wrong as wrong:
            sys.exit(f'{name}: {wrong}')
        stem, suffix = Path(name).stem, Path(name).suffix
        served[name] = (f'{stem}-{hashlib.sha256(data).hexdigest()[:12]}{suffix}', data)
        entries.append((served[name][0], TYPES[suffix], data))
    names = {Path(n).stem for n in templates}
    for name, text in sorted(templates.items()):
        try:
            text = strip(re.sub(r'\{\{asset ([\w.-]+)\}\}', asset, text))
            check(name, text, names)
        except Wrong as wrong:
            sys.exit(f'{name}: {wrong}')
        entries.append((Path(name).stem, None, text.encode()))

    with open(out, 'w', encoding='ascii') as f:
        f.write('/* Made by gateway-web/embed.py. */\n#include "web_assets.h"\n\n')
        f.write('#include <stddef.h>\n\nconst struct web_asset web_assets[] = {\n')
        for name, kind, data in entries:
            kind = f'"{kind}"' if kind else 'NULL'
            f.write(f'    {{"{name}", {kind}, {len(data)},\n{literal(data)}}},\n')
        f.write('};\n\nconst size_t web_assets_count = sizeof web_assets / sizeof *web_assets;\n')


if __name__ == '__main__':
    main(sys.argv[1], sys.argv[2:])
