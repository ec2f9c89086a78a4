"""What a person does in ACEmanager, for `./amm run --check`: log in, set fields of Services > MSCI, activate or reboot.

    acemanager.py ADDRESS LABEL-FILE 60001=Enable 10034=1192 then reboot|activate|checkin|nothing
"""
import http.cookiejar
import re
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request


class Browser:
    def __init__(self, address):
        self.base = f"https://{address}:9443"
        context = ssl._create_unverified_context()  # the key is the gateway's own, made at its first start
        self.opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context),
                                                  urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))

    def get(self, path):
        return self.opener.open(self.base + path, timeout=10).read().decode()

    def post(self, path, **fields):
        """Fills the form on the page (for the token against forged requests) and sends it to `path`."""
        form = {"csrf": re.search(r'name="csrf" value="([^"]+)"', self.page)[1], **fields}
        request = urllib.request.Request(self.base + path, urllib.parse.urlencode(form).encode(), {"Origin": self.base})
        try:
            self.page = self.opener.open(request, timeout=15).read().decode()
        except urllib.error.HTTPError as refusal:  # a page like others, with what is wrong
            self.page = refusal.read().decode()
        return self.page

    def open(self, path):
        self.page = self.get(path)
        return self.page


def fields_of(page):
    """What the settings form holds now, as a browser would send it."""
    found = dict(re.findall(r'<input id="(p\d+)"[^>]* value="([^"]*)"', page))
    for name, options in re.findall(r'<select[^>]* id="(p\d+)".*?>(.*?)</select>', page, re.S):
        chosen = re.search(r'<option value="([^"]*)" selected', options)
        found[name] = chosen[1] if chosen else ""
    return found


def main():
    address, label, *words = sys.argv[1:]
    then = words.pop() if words[-2:-1] == ["then"] else "nothing"
    settings = dict(word.split("=", 1) for word in words if "=" in word)
    password = re.search(r"(\w{4}-\w{4}-\w{4})", open(label).read())[1]
    browser = Browser(address)
    browser.open("/login")
    page = browser.post("/login", account="user", password=password)
    if "Log out" not in page:
        sys.exit("could not log in")
    page = browser.open("/services/msci")
    if settings:
        page = browser.post("/services/msci", **{**fields_of(page), **{f"p{k}": v for k, v in settings.items()}})
        errors = re.findall(r'class="err"[^>]*>.*?<span>(.*?)</span>', page, re.S)
        errors += re.findall(r'class="note down".*?<p>(.*?)</p>', page, re.S)
        if errors:
            sys.exit("refused: " + "; ".join(errors))
    if then == "activate":
        browser.post("/activate", what="")
    elif then == "checkin":
        browser.post("/checkin", what="")
    elif then == "reboot":
        browser.open("/admin/reboot")
        browser.post("/admin/reboot")


main()
