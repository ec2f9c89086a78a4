"""Adds up what meson and pytest recorded in a folder, names what failed or was skipped, and prints the closing
line of ./amm test. Exits 1 if anything failed or nothing ran."""
import json
import pathlib
import sys
import xml.etree.ElementTree as xml

folder = pathlib.Path(sys.argv[1])
passed, failed, skipped = 0, [], []

for path in sorted(folder.glob("*.json")):
    for line in path.read_text().splitlines():
        test = json.loads(line)
        name = f"{path.stem}: {test['name']}"
        if test["result"] in ("OK", "EXPECTEDFAIL"):
            passed += 1
        elif test["result"] == "SKIP":
            skipped.append((name, "see the log of the test"))
        else:
            failed.append(name)

for path in sorted(folder.glob("*.xml")):
    for case in xml.parse(path).getroot().iter("testcase"):
        name = f"{path.stem}: {case.get('classname')}.{case.get('name')}"
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(name)
        elif (why := case.find("skipped")) is not None:
            skipped.append((name, why.get("message")))
        else:
            passed += 1

if not (folder / "system.xml").exists():
    failed.append("system: pytest did not run")
for name, why in skipped:
    print(f"skipped  {name}: {why}")
for name in failed:
    print(f"FAILED   {name}")
print(f"{passed} passed, {len(failed)} failed, {len(skipped)} skipped")
sys.exit(1 if failed or passed == 0 else 0)
